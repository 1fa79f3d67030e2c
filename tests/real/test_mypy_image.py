"""The reference image, run as the service runs it: no root, nothing writable but /tmp, no network, no capability."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from oci_builder.verify.verify import verify_file
from tests.real.conftest import ROOT
from tests.support.engines import DockerLike
from tests.support.real import need

pytestmark = pytest.mark.real

IMPORT_NAMES = {
    "beautifulsoup4": "bs4",
    "lxml": "lxml.etree",
    "matplotlib": "matplotlib.pyplot",
    "pillow": "PIL.Image",
    "python-docx": "docx",
    "python-pptx": "pptx",
    "pyyaml": "yaml",
    "reportlab": "reportlab.pdfgen.canvas",
    "scikit-learn": "sklearn.ensemble",
    "scipy": "scipy.stats",
    "statsmodels": "statsmodels.api",
}


PIP_CHECK = r"""
import importlib.metadata as metadata, json, re
installed = {re.sub(r"[-_.]+", "-", d.metadata["Name"]).lower(): d.version for d in metadata.distributions()}
needs = {name: metadata.requires(name) or [] for name in installed}
missing = [f for d in metadata.distributions() for f in d.files or [] if not f.locate().exists()]
print(json.dumps({"installed": installed, "needs": needs, "missing": list(map(str, missing))}))
"""

WRITES = """
import io, os
import matplotlib.pyplot as plt, openpyxl, pandas
plt.plot([1, 4, 9]); plt.savefig("/tmp/plot.png")
pandas.DataFrame({"a": [1, 2]}).to_excel("/tmp/table.xlsx", index=False)
assert open("/tmp/plot.png", "rb").read(8) == b"\\x89PNG\\r\\n\\x1a\\n"
assert [cell.value for cell in openpyxl.load_workbook("/tmp/table.xlsx").active["A"]] == ["a", 1, 2]
try:
    open("/home/sandbox/x", "w")
except OSError as error:
    print("written, and home is", error.strerror)
"""


def pinned() -> dict[str, str]:
    lines = (ROOT / "build" / "mypy" / "requirements.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))


def python(docker: DockerLike, image: str, code: str) -> str:
    return docker.run(image, "python", "-c", code, tmpfs=["/tmp"]).stdout


def test_the_file_holds_what_it_says(mypy_tar: Path) -> None:
    report = verify_file(mypy_tar)
    assert report.findings + report.remarks == ()
    assert 5 < len(report.layers) <= 20


def test_docker_calls_it_mypy_latest(mypy: str) -> None:
    assert mypy == "mypy:latest"


def test_every_package_of_the_requirements_imports(docker: DockerLike, mypy: str) -> None:
    names = [IMPORT_NAMES.get(name, name.replace("-", "_")) for name in pinned()]
    assert len(names) == 20
    assert python(docker, mypy, f"import {', '.join(names)}; print('all')") == "all\n"


def test_every_requirement_of_every_distribution_is_met(docker: DockerLike, mypy: str) -> None:
    found = json.loads(python(docker, mypy, PIP_CHECK))
    environment = {"python_version": "3.11", "python_full_version": "3.11.2", "extra": ""}
    unmet = [
        f"{name} needs {requirement}"
        for name, lines in found["needs"].items()
        for requirement in map(Requirement, lines)
        if requirement.marker is None or requirement.marker.evaluate(environment)
        if not requirement.specifier.contains(found["installed"].get(canonicalize_name(requirement.name), "0"), True)
    ]
    assert unmet == []
    assert found["missing"] == []
    assert {name: found["installed"][name] for name in pinned()} == pinned()


def test_a_plot_and_a_table_are_written_on_a_read_only_root(docker: DockerLike, mypy: str) -> None:
    assert python(docker, mypy, WRITES) == "written, and home is Read-only file system\n"


def test_nobody_is_root_and_the_shell_works(docker: DockerLike, mypy: str) -> None:
    code = "import subprocess; print(subprocess.run('id -un; id -u; pwd; echo $HOME', shell=True, check=True))"
    assert python(docker, mypy, code).splitlines()[:4] == ["sandbox", "1000", "/home/sandbox", "/home/sandbox"]


def test_a_subprocess_sees_processes_and_memory(docker: DockerLike, mypy: str) -> None:
    said = docker.run(mypy, "bash", "-c", "ps -eo pid,comm | sed 1d; free -m | grep -c Mem; true").stdout
    assert "bash" in said and said.splitlines()[-1] == "1"


def test_no_module_is_compiled_at_start(docker: DockerLike, mypy: str) -> None:
    code = """
import sys, importlib.util, pandas, scipy.stats, matplotlib.pyplot
late = [m for m in list(sys.modules.values()) if getattr(m, "__cached__", None) and "/test" not in m.__file__
        and not __import__("os").path.exists(m.__cached__)]
print(late)
"""
    assert python(docker, mypy, code) == "[]\n"


def test_what_docker_says_of_the_image(docker: DockerLike, mypy: str, mypy_tar: Path) -> None:
    found = docker.inspect(mypy)
    config = found["Config"]
    assert (found["Architecture"], found["Os"]) == ("amd64", "linux")
    assert found["Id"] == str(verify_file(mypy_tar).image_id)
    assert (config["User"], config["WorkingDir"], config["Cmd"]) == ("1000:1000", "/home/sandbox", ["python3"])
    env = dict(line.split("=", 1) for line in config["Env"])
    assert (env["HOME"], env["MPLCONFIGDIR"]) == ("/home/sandbox", "/tmp/matplotlib")
    assert env["PATH"].startswith("/usr/local/bin:")
    assert config["Labels"]["org.opencontainers.image.title"] == "mypy"


def test_history_names_what_each_layer_holds(docker: DockerLike, mypy: str) -> None:
    lines = docker.call("history", "--no-trunc", "--format", "{{.CreatedBy}}", mypy).stdout.splitlines()
    assert lines[0] == "ocibuild user sandbox"
    assert lines[-1] == "ocibuild base python-3.11"
    assert sum("numpy" in line for line in lines) == 1


@pytest.mark.parametrize("code", [0, 1, 42])
def test_the_exit_code_of_the_program_is_the_containers(docker: DockerLike, mypy: str, code: int) -> None:
    result = docker.run(mypy, "python", "-c", f"raise SystemExit({code})", check=False)
    assert result.returncode == code


def test_the_load_script_checks_loads_and_runs(docker: DockerLike, mypy_tar: Path, tmp_path: Path) -> None:
    tar = tmp_path / "mypy.tar"
    os.link(mypy_tar, tar)
    said = subprocess.run(["sha256sum", "mypy.tar"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    (tmp_path / "mypy.tar.sha256").write_text(said)
    script = [str(ROOT / "build" / "mypy" / "mypy_load.sh"), "mypy.tar"]
    env = {"PATH": "/usr/bin:/bin", "DOCKER": " ".join(map(str, docker.command))}
    result = subprocess.run(script, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "mypy is ready: Python 3.11.2" in result.stdout
    (tmp_path / "mypy.tar.sha256").write_text(said.replace(said[:8], "00000000"))
    result = subprocess.run(script, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (1, "") and "is not the file that was built" in result.stderr


def test_the_compose_service_runs_locked_down(docker: DockerLike, mypy: str, tmp_path: Path) -> None:
    need("/usr/bin/docker-compose")
    host = str(docker.command[docker.command.index("-H") + 1])
    code = "import os, pandas; print(os.getuid(), os.access('/', os.W_OK), os.listdir('/sys/class/net'))"
    file = ROOT / "build" / "mypy" / "docker-compose.yml"
    result = subprocess.run(
        ["/usr/bin/docker-compose", "-f", file, "run", "--rm", "-T", "aiserver-code-interpreter", "python", "-c", code],
        env={"PATH": "/usr/bin:/bin", "DOCKER_HOST": host, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (0, "1000 False ['lo']\n"), result.stderr
