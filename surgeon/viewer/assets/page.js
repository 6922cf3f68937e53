// Joins the parts of the page: theme, tree, search, drawing and details.

const pageData = JSON.parse(document.getElementById("story").textContent);
// Maps, for a name from a file may be one that every object has.
for (const key of ["plugins", "replaced", "derived"]) pageData[key] = new Map(Object.entries(pageData[key]));
const byId = (id) => document.getElementById(id);

function remembered(key, value) {
  // A page opened from a file may have no storage.
  try {
    if (value === undefined) return localStorage.getItem(key);
    localStorage.setItem(key, value);
  } catch { /* the choice lasts as long as the page */ }
  return value;
}

function setUpTheme() {
  const themes = ["auto", "light", "dark"];
  const apply = (theme) => {
    document.documentElement.dataset.theme = theme;
    byId("theme").textContent = `Theme: ${theme}`;
  };
  const stored = remembered("surgeon-theme");
  apply(themes.includes(stored) ? stored : "auto");
  byId("theme").addEventListener("click", () => {
    const next = themes[(themes.indexOf(document.documentElement.dataset.theme) + 1) % themes.length];
    apply(next);
    remembered("surgeon-theme", next);
  });
}

class GraphView {
  constructor() {
    this.graphs = {};
    this.details = new Details(byId("details"), (node) => this.show(node), (box) => this.toggle(box));
    this.drawing = new Drawing(byId("canvas"), { choose: (box) => this.details.show(box, this.graph), toggle: (box) => this.toggle(box) });
    this.use("after");
  }

  /** Return one of the graphs, grouped when it is first asked for. */
  grouped(side) {
    if (!this.graphs[side]) this.graphs[side] = new GroupedGraph(pageData.graphs[side], pageData);
    return this.graphs[side];
  }

  get graph() {
    return this.grouped(this.side);
  }

  /** Draw the graph before or after. */
  use(side) {
    this.side = side;
    for (const button of document.querySelectorAll("[data-side]")) button.setAttribute("aria-pressed", String(button.dataset.side === side));
    byId("constants").checked = this.graph.showConstants;
    this.details.welcome(this.graph);
    this.redraw();
    this.start();
    this.legend();
  }

  /** Show the drawing as a whole, or the graph's first output where the whole would be too small. */
  start() {
    const [first] = this.graph.results;
    this.drawing.start(first === undefined ? undefined : this.graph.boxOf(this.graph.nodes[first]));
  }

  redraw() {
    this.drawing.draw(this.graph);
    const left = this.graph.total - this.graph.nodes.length;
    if (left > 0) this.details.say(`The graph is too large to be drawn whole: ${left.toLocaleString("en")} nodes are left out.`);
  }

  /** Show a node or group, opening what is around it. */
  show(member) {
    const drawn = this.graph.shownFor(member);
    this.graph.reveal(drawn);
    this.redraw();
    const box = this.graph.boxOf(drawn);
    if (box) {
      this.drawing.focus(box);
      this.drawing.centre(box, true);
    }
    if (!(member instanceof Group) && (!box || box.node !== member)) this.details.show({ node: member }, this.graph);
  }

  toggle(box) {
    const refused = this.graph.toggle(box.group);
    if (refused) {
      this.details.say(refused);
      return;
    }
    this.redraw();
    const now = this.graph.boxOf(box.group);
    if (!now) return;
    this.drawing.focus(now);
    this.drawing.centre(now, true);
  }

  change(action) {
    action(this.graph);
    this.redraw();
    this.drawing.fit(true);
  }

  legend() {
    const fates = countBy(this.graph.nodes, (node) => node.fate).map(([fate]) => fate);
    const plugins = this.graph.nodes.some((node) => pageData.plugins.has(node.op));
    const shown = pageData.kind === "graph" ? [] : fates.length > 1 ? [...fates, "partly"] : fates;
    byId("legend").replaceChildren(
      ...(plugins ? [tag("span", { class: "key plugin" }, "plugin")] : []),
      ...shown.map((fate) => tag("span", { class: `key f-${fate}` }, fateName(fate))));
  }
}

class Search {
  constructor(view) {
    this.view = view;
    this.field = byId("search");
    this.list = byId("found");
    this.field.addEventListener("input", () => this.look());
    this.field.addEventListener("focus", () => { if (this.field.value) this.look(); });
    this.field.addEventListener("keydown", (event) => this.#key(event));
    this.field.addEventListener("blur", () => setTimeout(() => this.close(), 150));
  }

  close() {
    this.list.hidden = true;
    this.field.setAttribute("aria-expanded", "false");
    this.field.removeAttribute("aria-activedescendant");
  }

  look() {
    const text = this.field.value.trim().toLowerCase();
    this.hits = text ? this.#hits(text) : [];
    this.at = 0;
    const sides = Object.keys(pageData.graphs).length > 1;
    this.list.replaceChildren(...this.hits.map(({ node, group, side }, i) => {
      const item = tag("li", { role: "option", id: `hit-${i}` }, tag("code", {}, node ? node.name : group.path), " ",
        tag("span", { class: "muted" }, `${node ? node.op : `${group.all.length} nodes`}${sides && side !== this.view.side ? `, ${side}` : ""}`));
      item.addEventListener("mousedown", (event) => { event.preventDefault(); this.#take(i); });
      return item;
    }));
    if (text && !this.hits.length) this.list.replaceChildren(tag("li", { class: "muted", role: "option", "aria-disabled": "true" }, "nothing found"));
    this.list.hidden = !text;
    this.field.setAttribute("aria-expanded", String(Boolean(text)));
    this.#mark();
  }

  // Names that are the text, then plugins, then names that start with it, then the rest; the drawn graph first.
  #hits(text) {
    const found = [];
    for (const side of [this.view.side, ...Object.keys(pageData.graphs).filter((other) => other !== this.view.side)]) {
      const graph = this.view.grouped(side);
      const away = side === this.view.side ? 0 : 8;
      const rank = (name, more) => away + (name === text || lastPart(name) === text ? 0 : more ? 1 : lastPart(name).startsWith(text) ? 2 : 3);
      for (const node of graph.nodes) {
        const name = node.name.toLowerCase();
        const op = node.op.toLowerCase();
        if (!name.includes(text) && !op.includes(text)) continue;
        found.push([rank(name, pageData.plugins.has(node.op)) + (node.constant ? 4 : 0), name.length, { node, side }]);
      }
      for (const [path, group] of graph.byPath) {
        const name = path.toLowerCase();
        if (path && !group.main && group.operations && lastPart(name).includes(text)) found.push([rank(name, false), name.length, { group, side }]);
      }
    }
    return found.sort((a, b) => a[0] - b[0] || a[1] - b[1]).slice(0, 40).map(([, , hit]) => hit);
  }

  #mark() {
    [...this.list.children].forEach((item, i) => item.setAttribute("aria-selected", String(i === this.at && this.hits.length > 0)));
    const current = this.list.children[this.at];
    if (current && this.hits.length) {
      this.field.setAttribute("aria-activedescendant", current.id);
      current.scrollIntoView({ block: "nearest" });
    }
  }

  #take(i) {
    const hit = this.hits[i];
    if (!hit) return;
    this.close();
    if (hit.side !== this.view.side) this.view.use(hit.side);
    this.view.show(hit.node || hit.group);
  }

  #key(event) {
    const open = !this.list.hidden && this.hits && this.hits.length;
    if (event.key === "ArrowDown" && open) this.at = (this.at + 1) % this.hits.length;
    else if (event.key === "ArrowUp" && open) this.at = (this.at + this.hits.length - 1) % this.hits.length;
    else if (event.key === "Enter" && open) this.#take(this.at);
    else if (event.key === "Escape") { this.field.value = ""; this.close(); }
    else return;
    event.preventDefault();
    this.#mark();
  }
}

function setUpTree(view) {
  const tree = document.querySelector(".ns-tree");
  const rows = () => [...tree.querySelectorAll(".ns-row")].filter((row) => row.checkVisibility ? row.checkVisibility() : row.offsetParent);
  const fold = (open) => tree.querySelectorAll("details").forEach((part) => { part.open = open; });
  byId("unfold").addEventListener("click", () => fold(true));
  byId("fold").addEventListener("click", () => fold(false));
  // One row can be reached with Tab; the arrows go from there to the others.
  let reachable;
  const reach = (row) => {
    for (const [one, index] of [[reachable, -1], [row, 0]]) {
      if (!one) continue;
      one.tabIndex = index;
      one.querySelector("button.show").tabIndex = index;
    }
    reachable = row;
  };
  const show = (path) => {
    for (const side of [view.side, ...Object.keys(pageData.graphs)]) {
      const graph = view.grouped(side);
      const member = graph.byPath.get(path) || graph.byName.get(path);
      if (!member) continue;
      if (side !== view.side) view.use(side);
      byId("graph").scrollIntoView({ behavior: STILL.matches ? "auto" : "smooth" });
      view.show(member instanceof Group && member.main && !graph.showConstants ? member.main : member);
      return;
    }
  };
  for (const row of tree.querySelectorAll("[data-path]")) {
    const told = { title: "Show in the graph", "aria-label": `Show ${row.dataset.path} in the graph` };
    const button = tag("button", { type: "button", class: "show", tabindex: -1, ...told }, "◎");
    button.addEventListener("click", (event) => { event.preventDefault(); show(row.dataset.path); });
    row.firstElementChild.append(" ", button);
    row.tabIndex = -1;
    row.addEventListener("focus", () => reach(row));
  }
  if (tree.querySelector("[data-path]")) reach(tree.querySelector("[data-path]"));
  tree.addEventListener("keydown", (event) => {
    const row = event.target.closest(".ns-row");
    if (!row || event.target !== row) return;
    const around = row.parentElement.tagName === "DETAILS" ? row.parentElement : null;
    const all = rows();
    const at = all.indexOf(row);
    if (event.key === "ArrowDown" && all[at + 1]) all[at + 1].focus();
    else if (event.key === "ArrowUp" && all[at - 1]) all[at - 1].focus();
    else if (event.key === "ArrowRight" && around && !around.open) around.open = true;
    else if (event.key === "ArrowRight" && around && all[at + 1]) all[at + 1].focus();
    else if (event.key === "ArrowLeft" && around && around.open) around.open = false;
    else if (event.key === "ArrowLeft") {
      const outer = (around || row).parentElement.closest("details");
      if (outer) outer.firstElementChild.focus();
    } else if (event.key === "Enter" && !around) show(row.dataset.path);
    else return;
    event.preventDefault();
  });
}

function setUpTools(view) {
  const tools = {
    "zoom-in": () => view.drawing.scaleBy(1.4), "zoom-out": () => view.drawing.scaleBy(1 / 1.4), "zoom-fit": () => view.drawing.fit(),
    "open-all": () => view.change((graph) => graph.openMore()), "close-all": () => view.change((graph) => graph.closeAll()),
  };
  for (const [id, action] of Object.entries(tools)) byId(id).addEventListener("click", action);
  for (const button of document.querySelectorAll("[data-side]")) button.addEventListener("click", () => view.use(button.dataset.side));
  byId("constants").addEventListener("change", (event) => view.change((graph) => { graph.showConstants = event.target.checked; }));
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.closest("input, textarea")) return;
    event.preventDefault();
    byId("search").focus();
  });
  new ResizeObserver(() => { if (!view.drawing.current) view.start(); }).observe(byId("canvas"));
}

setUpTheme();
const view = new GraphView();
new Search(view);
setUpTree(view);
setUpTools(view);
document.documentElement.dataset.ready = "true";
