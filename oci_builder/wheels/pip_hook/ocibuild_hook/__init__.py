"""pip, made to answer for another machine and to take wheels alone. Run as a program of its own, never imported by us.

``python -P pip_hook RULES ARGUMENT…``, where RULES is JSON (see ``rules.HookRules``), runs the folder that this package
lies in. Python looks there before it looks anywhere else: so nothing of a package, of PYTHONPATH or of the folder that
pip runs in takes the place of a file of the hook, and since the folder holds this package alone, it hides nothing of
pip's or Python's. ``-P`` keeps modules from being looked for in the folder that pip runs in.

* pip evaluates markers for the interpreter it runs on, whatever --platform and --python-version say (pip#11664), so an
  amd64 host would take amd64's dependencies for an arm64 image.
* pip builds what is no wheel, whatever --only-binary says of direct URLs. Here whatever would build, unpack or run a
  source is a refusal, and no program is started. Refusals are told as JSON lines on the descriptor ``tell``.
* pip fetches a URL that a requirement or a wheel names, whatever --no-index says. Here, offline, nothing connects, and
  a wheel that a URL names is looked for, by name and hash, where wheels are.
* pip reports the hash that an index gives, and an index may give another than sha256. Here that is always computed.
* Of pip's configuration and environment only ``settings`` are heard.

Everything private that is touched here is checked first (``insides``): a pip whose inside has changed is an error, not
a wrong answer. Nothing of ocibuild is imported: the Python that runs pip need not find it.
"""
