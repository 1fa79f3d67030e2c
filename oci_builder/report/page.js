
"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("data").textContent);
  const main = document.getElementById("main"), nav = document.getElementById("nav"), tip = document.getElementById("tip");

  // Everything from the image goes through textContent: it can be no markup.
  const make = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };

  const bytes = (size) => {
    const sign = size < 0 ? "\u2212" : "";
    let rest = Math.abs(size), unit = "B";
    for (const next of ["kB", "MB", "GB"]) {
      if (rest < 1000) break;
      rest /= 1000;
      unit = next;
    }
    return `${sign}${unit === "B" ? rest : rest.toFixed(1)} ${unit}`;
  };
  const signed = (size) => (size > 0 ? `+${bytes(size)}` : size ? bytes(size) : "0");

  const section = (id, title, note = "") => {
    nav.append(make("a", { href: `#${id}`, textContent: title }));
    const head = make("div", { className: "head" }, make("h2", { textContent: title }));
    if (note) head.append(make("span", { className: "count", textContent: note }));
    const box = make("section", { id }, head);
    main.append(box);
    return box;
  };

  // A table whose columns sort on a click, and whose rows a search field filters.
  const table = (box, columns, rows, order, label) => {
    if (!rows.length) {
      box.append(make("p", { className: "empty", textContent: "Nothing." }));
      return;
    }
    const body = make("tbody"), row = make("tr");
    const largest = columns.map((column) => (column.bar ? Math.max(1, ...rows.map((each) => Math.abs(each[column.key]))) : 0));
    const lines = rows.map((each) => {
      const line = make("tr");
      columns.forEach((column, number) => {
        const value = each[column.key], text = column.show ? column.show(value, each) : value;
        const cell = make("td", { className: column.kind || "" });
        if (column.pill) cell.append(make("span", { className: `pill ${value}`, textContent: text }));
        else cell.textContent = text;
        if (column.bar) {
          cell.classList.add("bars");
          cell.style.backgroundSize = `${(90 * Math.abs(value)) / largest[number]}% 1.45rem`;
        }
        line.append(cell);
      });
      return { line, each, text: line.textContent.toLowerCase() };
    });
    const count = make("span", { className: "count" });
    const show = (words) => {
      const parts = words.toLowerCase().split(/\s+/).filter(Boolean);
      let seen = 0;
      for (const { line, text } of lines) {
        line.hidden = !parts.every((part) => text.includes(part));
        seen += line.hidden ? 0 : 1;
      }
      count.textContent = seen === lines.length ? `${seen}` : `${seen} of ${lines.length}`;
    };
    const sort = (number, down) => {
      const key = columns[number].key;
      const rank = (value) => (Array.isArray(value) ? (value.length ? value[0] : "") : value);
      lines.sort((a, b) => {
        const [x, y] = [rank(a.each[key]), rank(b.each[key])];
        const by = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), "en", { numeric: true });
        return down ? -by : by;
      });
      body.append(...lines.map(({ line }) => line));
      [...row.children].forEach((head, at) => head.setAttribute("aria-sort", at !== number ? "none" : down ? "descending" : "ascending"));
    };
    columns.forEach((column, number) => {
      const button = make("button", { type: "button", textContent: column.title });
      const head = make("th", { className: (column.kind || "").includes("num") ? "num" : "", scope: "col" }, button);
      button.addEventListener("click", () => {
        const before = head.getAttribute("aria-sort");
        sort(number, before === "none" ? Boolean(column.down) : before === "ascending");
      });
      row.append(head);
    });
    const search = make("input", { type: "search", placeholder: "Filter", ariaLabel: `Filter ${label}` });
    search.addEventListener("input", () => show(search.value));
    box.querySelector(".head:last-of-type").append(count, search);
    box.append(make("div", { className: "scroll" }, make("table", {}, make("thead", {}, row), body)));
    sort(order, Boolean(columns[order].down));
    show("");
  };

  const size = (key, title) => ({ key, title, kind: "num", show: bytes, bar: true, down: true });
  const number = (key, title) => ({ key, title, kind: "num", down: true });

  const overview = () => {
    const { stored, unpacked, layers, packages } = figures.totals;
    const errors = figures.remarks.filter((each) => each.severity === "error").length;
    const warnings = figures.remarks.filter((each) => each.severity === "warning").length;
    const cards = make("div", { className: "cards" });
    const card = (value, text, kind = "") => cards.append(make("div", { className: `card ${kind}` }, make("b", { textContent: value }), make("span", { textContent: text })));
    card(bytes(stored), "stored and transferred");
    card(bytes(unpacked), "unpacked");
    card(layers, layers === 1 ? "layer" : "layers");
    card(packages, packages === 1 ? "package" : "packages");
    card(errors + warnings, `${errors === 1 ? "1 error" : `${errors} errors`}, ${warnings === 1 ? "1 warning" : `${warnings} warnings`}`, errors ? "error" : warnings ? "warning" : "good");
    main.append(cards);
    const facts = make("dl");
    for (const [name, value] of figures.facts) facts.append(make("dt", { textContent: name }), make("dd", { textContent: value }));
    section("about", "Image").append(facts);
  };

  // Squarified treemap (Bruls, Huizing, van Wijk): rows as near to squares as they get.
  const squarify = (nodes, x, y, width, height) => {
    const total = nodes.reduce((sum, node) => sum + node.s, 0), placed = [];
    const scale = total ? (width * height) / total : 0;
    let rest = nodes.filter((node) => node.s > 0);
    while (rest.length && width > 0 && height > 0) {
      const side = Math.min(width, height);
      let row = [], area = 0, worst = Infinity;
      for (const node of rest) {
        const more = area + node.s * scale;
        const sizes = [...row, node].map((each) => each.s * scale);
        const ratio = Math.max((side * side * Math.max(...sizes)) / (more * more), (more * more) / (side * side * Math.min(...sizes)));
        if (ratio > worst) break;
        [worst, area] = [ratio, more];
        row.push(node);
      }
      const thick = area / side;
      let at = 0;
      for (const node of row) {
        const long = (node.s * scale) / thick;
        placed.push(width >= height ? [node, x, y + at, thick, long] : [node, x + at, y, long, thick]);
        at += long;
      }
      if (width >= height) [x, width] = [x + thick, width - thick];
      else [y, height] = [y + thick, height - thick];
      rest = rest.slice(row.length);
    }
    return placed;
  };

  const treemap = () => {
    const box = section("sizes", "Sizes", "unpacked bytes by layer, package and folder; click to go deeper");
    const crumbs = make("div", { className: "crumbs" }), map = make("div", { id: "map" });
    box.append(crumbs, map);
    (figures.tree.b || []).forEach((layer, at) => (layer.hue = Math.round((at * 137.5 + 215) % 360)));
    const made = new Map(figures.layers.map((layer) => [`layer ${layer.number}`, layer.by]));
    let path = [figures.tree];
    const hue = (trail) => trail.map((node) => node.hue).find((value) => value !== undefined) ?? 215;
    const holds = (node) => (made.get(node.n) || "").replace(/^ocibuild (wheels: )?/, "");
    const title = (node) => (holds(node) ? `${node.n}: ${holds(node)}` : node.n);
    const brief = (node) => {
      const text = holds(node), count = text.split(", ").length;
      return text ? (count > 1 ? `${node.n}, ${count} packages` : text) : node.n;
    };
    // The longest label that fits; the letters are about so many pixels wide. The last leaves out a version.
    const label = (node, width, level) => {
      const short = brief(node), all = [`${short}  ${bytes(node.s)}`, short, short.replace(/ \d\S*$/, "")];
      if (!holds(node).includes(", ")) all.unshift(`${title(node)}  ${bytes(node.s)}`);
      return all.find((text) => text.length * (level ? 6.7 : 7.5) < width - 10) || all[all.length - 1];
    };
    const tile = (node, trail, [x, y, width, height], level) => {
      const below = node.b && node.b.length;
      const element = make("div", { className: `tile ${level ? "" : "outer"} ${below ? "" : "leaf"}`, tabIndex: below ? 0 : -1 });
      Object.assign(element.style, { left: `${x + 1}px`, top: `${y + 1}px`, width: `${Math.max(0, width - 2)}px`, height: `${Math.max(0, height - 2)}px` });
      element.style.background = `hsl(${hue(trail)} var(--tile-s) calc(var(--tile-l) + ${2 - 5 * level}%))`;
      if (below) element.setAttribute("role", "button");
      element.setAttribute("aria-label", `${title(node)}, ${bytes(node.s)}`);
      const text = label(node, width, level);
      if (height > 18 && (width > 62 || (width > 20 && text.length * 6.7 < width - 8))) element.append(make("span", { textContent: text }));
      const enter = (event) => {
        event.stopPropagation();
        if (below) go(trail);
      };
      element.addEventListener("click", enter);
      element.addEventListener("keydown", (event) => event.key === "Enter" && enter(event));
      element.addEventListener("mousemove", (event) => {
        event.stopPropagation();
        const share = ((100 * node.s) / figures.tree.s).toFixed(1);
        tip.textContent = `${trail.slice(1).map((each) => each.n).join(" \u203a ")}\u2003${bytes(node.s)}, ${share} %, ${node.f} ${node.f === 1 ? "file" : "files"}`;
        tip.hidden = false;
        tip.style.left = `${Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)}px`;
        tip.style.top = `${event.clientY + 18}px`;
      });
      return element;
    };
    const fill = (outer, node, trail, width, height, level) => {
      if (!node.b || width < 47 || height < 45 || level > 3) return;
      // One part that is all there is would only repeat what it is in.
      const only = node.b.length === 1 && node.b[0].b ? node.b : [], parts = only.length ? only[0].b : node.b;
      for (const [inner, x, y, w, h] of squarify(parts, 3, 22, width - 8, height - 27)) {
        if (w <= 3 || h <= 3) continue;
        const below = [...trail, ...only, inner], part = tile(inner, below, [x, y, w, h], level);
        outer.append(part);
        if (w > 80 && h > 60) fill(part, inner, below, w, h, level + 1);
      }
    };
    const draw = () => {
      const here = path[path.length - 1], { clientWidth: width, clientHeight: height } = map;
      map.replaceChildren();
      for (const [node, x, y, w, h] of squarify(here.b || [here], 0, 0, width, height)) {
        const trail = here.b ? [...path, node] : path;
        const outer = tile(node, trail, [x, y, w, h], 0);
        fill(outer, node, trail, w, h, 1);
        map.append(outer);
      }
      crumbs.replaceChildren();
      path.forEach((node, at) => {
        const last = at === path.length - 1;
        const step = make("button", { type: "button", disabled: last, textContent: title(node) });
        step.addEventListener("click", () => go(path.slice(0, at + 1)));
        crumbs.append(...(at ? [make("i", { textContent: "\u203a" })] : []), step);
      });
      crumbs.append(make("i", { textContent: `\u2003${bytes(here.s)}` }));
    };
    const go = (to) => {
      path = to;
      tip.hidden = true;
      draw();
    };
    map.addEventListener("mouseleave", () => (tip.hidden = true));
    addEventListener("resize", draw);
    draw();
  };

  const remarks = () => {
    const box = section("findings", "Findings");
    const rows = figures.remarks;
    if (!rows.length) box.append(make("p", { className: "empty", textContent: "Nothing is wrong with what was checked." }));
    else table(box, [{ key: "severity", title: "Severity", pill: true }, { key: "check", title: "Check" }, { key: "text", title: "Finding" }], rows, 0, "findings");
  };

  const diff = () => {
    const found = figures.diff;
    if (!found) return;
    const box = section("differences", "Differences", `from ${found.before} to ${found.after}`);
    box.append(make("p", { textContent: found.equal ? "A container could not tell the two apart." : `${bytes(found.transfer)} to transfer in ${found.new_layers.length} layers, ${bytes(found.shared)} shared.` }));
    const part = (title, columns, rows, order) => {
      if (!rows.length) return;
      box.append(make("div", { className: "head" }, make("h3", { textContent: title })));
      table(box, columns, rows, order, title);
    };
    const delta = { key: "delta", title: "Size", kind: "num", show: signed, bar: true, down: true };
    const grown = (rows) => rows.map((each) => ({ ...each, delta: each.size_after - each.size_before, package: each.package || "" }));
    const change = (each) => ({ ...each, change: each.before === null ? "added" : each.after === null ? "removed" : "changed" });
    const dash = (value) => value || "\u2013";
    part("Packages", [{ key: "change", title: "Change", pill: true }, { key: "name", title: "Name", kind: "name" }, { key: "before", title: "Before", show: dash }, { key: "after", title: "After", show: dash }, delta], grown(found.packages).map(change), 1);
    part("Configuration", [{ key: "key", title: "Key", kind: "name" }, { key: "before", title: "Before", kind: "path", show: dash }, { key: "after", title: "After", kind: "path", show: dash }], found.config, 0);
    const title = found.count > found.files.length ? `Files (the largest ${found.files.length} of ${found.count})` : "Files";
    part(title, [{ key: "change", title: "Change", pill: true }, { key: "path", title: "Path", kind: "path", show: (path) => `/${path}` }, delta, { key: "package", title: "Package" }], grown(found.files), 1);
  };

  overview();
  remarks();
  diff();
  treemap();
  const python = { python: "Python", debian: "Debian" };
  table(section("packages", "Packages"), [
    { key: "name", title: "Name", kind: "name" }, { key: "version", title: "Version" }, { key: "kind", title: "Kind", show: (kind) => python[kind] || kind },
    size("size", "Size"), { key: "layers", title: "Layer", kind: "num", show: (layers) => layers.join(", ") }, { key: "licence", title: "Licence" },
    { key: "by", title: "Required by", show: (by, each) => (each.requested ? ["(asked for)"] : []).concat(by.length > 6 ? [...by.slice(0, 5), `${by.length - 5} more`] : by).join(", ") },
  ], figures.packages, 3, "packages");
  table(section("licences", "Licences", "in the packages' own words"), [{ key: "licence", title: "Licence", kind: "name" }, number("count", "Packages"), size("size", "Size"), { key: "packages", title: "Which" }], figures.licences, 1, "licences");
  table(section("files", "Files", `the largest ${figures.files.length}`), [{ key: "path", title: "Path", kind: "path" }, size("size", "Size"), number("layer", "Layer"), { key: "package", title: "Package" }], figures.files, 1, "files");
  table(section("layers", "Layers"), [{ ...number("number", "Layer"), down: false }, size("stored", "Stored"), size("unpacked", "Unpacked"), number("files", "Files"), { key: "by", title: "Created by", kind: "path", show: (text) => (text.length > 200 ? `${text.slice(0, 199)}\u2026` : text) }], figures.layers, 0, "layers");
  main.append(make("footer", { textContent: "Made by ocibuild. Sizes are in units of 1000. This page loads nothing and sends nothing." }));
})();
