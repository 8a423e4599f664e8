// The report's life without a kernel: draws the figures from data in the file, and loads a configuration of
// the front into the network, the strip and the table.
(() => {
  "use strict";
  const $ = (id) => document.getElementById(id);
  const report = JSON.parse($("report-data").textContent);
  const record = $("report-front").textContent;
  const front = new Map(JSON.parse(record).front.map((one) => [one.config, one]));
  const figures = new Map(); // name -> {document, sources}

  // figures take the ink of the page, on paper that of paper
  function ink(paper) {
    const css = getComputedStyle(document.documentElement);
    const strong = paper ? "#1a1a1a" : css.getPropertyValue("--ink").trim();
    const faint = paper ? "#555" : css.getPropertyValue("--faint").trim();
    for (const { document: drawn } of figures.values()) applyInk(drawn, strong, faint);
  }

  async function draw(element) {
    const name = element.dataset.figure;
    const { item, label, columns } = report.figures[name];
    element.setAttribute("role", "img");
    element.setAttribute("aria-label", label);
    const [root] = await Bokeh.embed.embed_item(item, element);
    const drawn = root.model.document;
    patient(root);
    const sources = Object.fromEntries(namedSources(drawn));
    for (const [source, data] of Object.entries(columns)) {
      sources[source].data = Object.fromEntries(Object.entries(data).map(([key, value]) => [key, column(value)]));
    }
    figures.set(name, { document: drawn, sources });
    element.dataset.ready = "true";
  }

  const sources = (name) => figures.get(name)?.sources ?? {};

  function choose(config) {
    const member = front.get(config);
    if (!member) {
      $("shown").textContent =
        `Configuration ${config} is not on the front, so its bit-widths are not in this report; ` +
        `study.config(${config}) has them.`;
      return;
    }
    show(config, member.bits);
  }

  function show(config, bits) {
    const { nodes } = sources("graph");
    if (nodes) {
      const text = bits.map(String);
      const color = bits.map((width) => report.colors[width][0]);
      nodes.data = { ...nodes.data, text, bits: text, color, ink: bits.map((width) => report.colors[width][1]) };
    }
    const { bars } = sources("strip");
    if (bars) bars.data = { ...bars.data, bits, color: bits.map((width) => report.colors[width][0]) };
    ring(config);
    const row = document.querySelector(`tr[data-config="${config}"]`);
    document.querySelector('tr[aria-current="true"]')?.removeAttribute("aria-current");
    if (row) {
      row.setAttribute("aria-current", "true");
      const scroller = row.closest(".scroller");
      const top = row.offsetTop - scroller.clientHeight / 2;
      if (row.offsetTop < scroller.scrollTop + 40 || row.offsetTop > scroller.scrollTop + scroller.clientHeight - 40) {
        scroller.scrollTop = top;
      }
      $("chooser").value = String(config);
    }
    $("shown").textContent = `Configuration ${config}${row ? `: ${words(row)}` : ""}`;
    document.documentElement.dataset.config = String(config);
  }

  function words(row) {
    const headings = [...document.querySelectorAll("#front-table thead th")];
    const cells = [...row.cells];
    return cells
      .slice(1)
      .map((cell, place) => (cell.textContent ? `${headings[place + 1].textContent} ${cell.textContent}` : ""))
      .filter(Boolean)
      .join(", ");
  }

  function ring(config) {
    const { chosen, front: drawn } = sources("front");
    if (!chosen) return;
    const place = Array.from(drawn.data.key).indexOf(config);
    if (place < 0) return;
    chosen.data = { y: [drawn.data.y[place]], x1: [drawn.data.x1[place]], x2: [drawn.data.x2[place]] };
  }

  function listen() {
    for (const name of ["evaluated", "beyond", "front"]) {
      const source = sources("front")[name];
      if (!source) continue;
      source.selected.properties.indices.change.connect(() => {
        const { indices } = source.selected;
        if (!indices.length) return;
        const config = Number(source.data.key[indices[indices.length - 1]]);
        source.selected.indices = [];
        choose(config);
      });
    }
    const menu = $("chooser");
    if (!menu) return;
    const step = (by) => {
      menu.selectedIndex = Math.min(Math.max(menu.selectedIndex + by, 0), menu.options.length - 1);
      choose(Number(menu.value));
    };
    menu.addEventListener("change", () => choose(Number(menu.value)));
    $("previous").addEventListener("click", () => step(-1));
    $("next").addEventListener("click", () => step(1));
    $("download").addEventListener("click", () => {
      const link = document.createElement("a");
      link.href = `data:application/json;charset=utf-8,${encodeURIComponent(record)}`;
      link.download = report.file;
      link.click();
    });
    document.querySelector("#front-table tbody").addEventListener("click", (event) => {
      const row = event.target.closest("tr");
      if (row) choose(Number(row.dataset.config));
    });
    for (const heading of document.querySelectorAll("#front-table thead th")) {
      heading.querySelector("button").addEventListener("click", () => sort(heading));
    }
  }

  function sort(heading) {
    const body = heading.closest("table").tBodies[0];
    const falling = heading.getAttribute("aria-sort") === "ascending";
    for (const one of heading.parentElement.cells) one.setAttribute("aria-sort", "none");
    heading.setAttribute("aria-sort", falling ? "descending" : "ascending");
    const value = (row) => row.cells[heading.cellIndex].dataset.value;
    const compare = (a, b) => {
      const [x, y] = [value(a), value(b)];
      const order = x - y;
      return Number.isNaN(order) ? x.localeCompare(y) : order;
    };
    const rows = [...body.rows].sort((a, b) => (falling ? compare(b, a) : compare(a, b)));
    body.append(...rows);
  }

  async function begin() {
    for (const element of document.querySelectorAll("[data-figure]")) {
      try {
        await draw(element);
      } catch (error) {
        element.textContent = `This figure could not be drawn: ${error.message}`;
        console.error(error);
      }
    }
    ink(false);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => ink(false));
    matchMedia("print").addEventListener("change", (event) => ink(event.matches));
    addEventListener("beforeprint", () => ink(true));
    addEventListener("afterprint", () => ink(false));
    listen();
    if (report.config !== null) show(report.config, report.bits);
    document.documentElement.dataset.ready = "true";
  }

  if (document.readyState === "loading") addEventListener("DOMContentLoaded", begin);
  else begin();
})();
