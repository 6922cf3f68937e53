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

const WIDE = matchMedia("(min-width: 1150px)"); // as in page.css: two graphs stand side by side

/** One graph, grouped and drawn; both when they are first needed. */
class Pane {
  constructor(place, view) {
    this.place = place;
    this.side = place.dataset.pane;
    this.canvas = place.querySelector(".canvas");
    this.drawing = new Drawing(this.canvas, `The graph${pageData.kind === "graph" ? "" : ` ${sideName(this.side)}`}`, {
      choose: (box) => view.choose(this.side, box.node || box.group),
      toggle: (box) => view.toggle(this.side, box.group),
    });
    new ResizeObserver(() => { if (this.drawing.graph && !this.drawing.current) this.start(); }).observe(this.canvas);
  }

  get graph() {
    if (!this.grouped) this.grouped = new GroupedGraph(pageData.graphs[this.side], pageData);
    return this.grouped;
  }

  /** Show the drawing as a whole, or the graph's first output where the whole would be too small. */
  start() {
    const [first] = this.graph.results;
    this.drawing.start(first === undefined ? undefined : this.graph.boxOf(this.graph.nodes[first]));
  }

  redraw() {
    this.drawing.draw(this.graph);
  }

  /** Mark what shows members, opening what is around the first; return the first one's box. */
  point(members) {
    if (!members.length) {
      this.drawing.clear();
      return undefined;
    }
    const drawn = members.map((member) => this.graph.shownFor(member));
    if (this.graph.reveal(drawn[0])) this.redraw();
    const boxes = drawn.map((member) => this.graph.boxOf(member)).filter(Boolean);
    this.drawing.point(boxes);
    if (boxes.length) this.drawing.centre(boxes[0], true);
    return boxes[0];
  }
}

/** The drawings, what is chosen in them, and the panel that tells of it. */
class GraphView {
  constructor() {
    this.panes = new Map([...document.querySelectorAll("[data-pane]")].map((place) => [place.dataset.pane, new Pane(place, this)]));
    this.details = new Details(byId("told"), (node, side) => this.show(node, side), (group) => this.toggle(this.side, group));
    this.side = "after";
    this.use(this.panes.size > 1 ? "both" : "after");
    WIDE.addEventListener("change", () => this.use(this.wanted));
  }

  get sides() {
    return this.mode === "both" ? [...this.panes.keys()] : [this.side];
  }

  get graph() {
    return this.grouped(this.side);
  }

  grouped(side) {
    return this.panes.get(side).graph;
  }

  /** Show the graph before, the one after, or both; what is chosen in the other one goes along. */
  use(wanted) {
    this.wanted = wanted;
    const mode = wanted === "both" && !WIDE.matches ? this.side : wanted;
    this.mode = mode;
    if (mode !== "both") this.side = mode;
    for (const button of document.querySelectorAll("[data-mode]")) button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
    document.querySelector(".stage").dataset.shown = mode;
    for (const pane of this.panes.values()) pane.place.hidden = !this.sides.includes(pane.side);
    for (const side of this.sides) {
      const pane = this.panes.get(side);
      if (!pane.drawing.graph) pane.redraw();
      pane.start();
    }
    byId("constants").checked = this.graph.showConstants;
    this.legend();
    this.#carry();
  }

  // To the graphs that are shown now: what was chosen, or what stands for it.
  #carry() {
    const chosen = this.chosen && [this.chosen, this.chosen.origin].find((each) => each && this.sides.includes(each.side));
    if (chosen) this.show(chosen.member, chosen.side);
    else if (this.chosen && this.counterparts(this.chosen.member, this.chosen.side).length) {
      const origin = this.chosen;
      this.show(this.counterparts(origin.member, origin.side)[0], this.side);
      this.chosen.origin = origin;
    } else if (!this.chosen) this.details.welcome(this.graph, this.side);
  }

  other(side) {
    return [...this.panes.keys()].find((each) => each !== side);
  }

  /** Return what stands in the other graph for a member of one. */
  counterparts(member, side) {
    const other = this.other(side);
    return other ? this.grouped(other).counterparts(member) : [];
  }

  /** Tell of a member of one graph; the other one, where it is shown, follows. */
  choose(side, member) {
    this.chosen = { side, member };
    this.side = side;
    const other = this.other(side);
    const counterparts = this.counterparts(member, side);
    if (this.mode === "both") this.panes.get(other).point(counterparts);
    this.details.show(member, this.graph, { side, other, counterparts });
  }

  #tooLarge() {
    const left = this.sides.reduce((sum, side) => sum + this.grouped(side).total - this.grouped(side).nodes.length, 0);
    byId("left-out").textContent = left > 0 ? `Too large to be drawn whole: ${left.toLocaleString("en")} nodes are left out of the drawing.` : "";
  }

  /** Show a node or group of one graph, opening what is around it. */
  show(member, side = this.side) {
    if (!this.sides.includes(side)) {
      this.chosen = undefined;
      this.use(side);
    }
    const pane = this.panes.get(side);
    const box = pane.point([member]);
    if (box) pane.drawing.take(box);
    this.choose(side, member);
  }

  toggle(side, group) {
    const pane = this.panes.get(side);
    const refused = pane.graph.toggle(group);
    if (refused) {
      this.details.say(refused);
      return;
    }
    pane.redraw();
    this.#follow(side, group);
    this.show(group, side);
  }

  // Side by side, a namespace that both graphs have opens and closes in both.
  #follow(side, group) {
    if (this.mode !== "both" || group.isPart) return;
    const pane = this.panes.get(this.other(side));
    const twin = pane.graph.byPath.get(group.path);
    if (!twin || pane.graph.expanded.has(twin) === this.grouped(side).expanded.has(group)) return;
    pane.graph.toggle(twin);
    pane.redraw();
  }

  /** Change the graphs that are shown, and draw them anew as a whole. */
  change(action) {
    for (const side of this.sides) {
      const pane = this.panes.get(side);
      action(pane.graph);
      pane.redraw();
      pane.drawing.fit(true);
    }
  }

  /** Do something with every drawing that is shown. */
  each(action) {
    for (const side of this.sides) action(this.panes.get(side).drawing);
  }

  legend() {
    const nodes = this.sides.flatMap((side) => this.grouped(side).nodes);
    const fates = countBy(nodes, (node) => node.fate).map(([fate]) => fate);
    const shown = new Set(pageData.kind === "graph" ? [] : fates.length > 1 ? [...fates, "partly"] : fates);
    if (nodes.some((node) => pageData.plugins.has(node.op))) shown.add("plugin");
    for (const entry of document.querySelectorAll("#legend [data-fate]")) entry.hidden = !shown.has(entry.dataset.fate);
    byId("legend").hidden = !shown.size;
    this.#tooLarge();
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
    // Whoever comes back to the field at once keeps the list.
    this.field.addEventListener("blur", () => setTimeout(() => { if (document.activeElement !== this.field) this.close(); }, 150));
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
        tag("span", { class: "muted" }, `${node ? node.op : `${group.all.length} nodes`}${sides && side !== this.view.side ? `, ${sideName(side)}` : ""}`));
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
    this.view.show(hit.node || hit.group, hit.side);
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
      byId("graph").scrollIntoView({ behavior: STILL.matches ? "auto" : "smooth" });
      view.show(member instanceof Group && member.main && !graph.showConstants ? member.main : member, side);
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
    "zoom-in": () => view.each((drawing) => drawing.scaleBy(1.4)), "zoom-out": () => view.each((drawing) => drawing.scaleBy(1 / 1.4)),
    "zoom-fit": () => view.each((drawing) => drawing.fit()),
    "open-all": () => view.change((graph) => graph.openMore()), "close-all": () => view.change((graph) => graph.closeAll()),
  };
  for (const [id, action] of Object.entries(tools)) byId(id).addEventListener("click", action);
  for (const button of document.querySelectorAll("[data-mode]")) button.addEventListener("click", () => view.use(button.dataset.mode));
  byId("constants").addEventListener("change", (event) => view.change((graph) => { graph.showConstants = event.target.checked; }));
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.closest("input, textarea")) return;
    event.preventDefault();
    byId("search").focus();
  });
}

/** Let the arrow keys reach what is cut: a table that scrolls takes the focus. */
function setUpTables() {
  const scrolls = [...document.querySelectorAll(".scroll")];
  const mark = () => scrolls.forEach((place) => { place.tabIndex = place.scrollWidth > place.clientWidth ? 0 : -1; });
  new ResizeObserver(mark).observe(document.body);
}

setUpTheme();
const view = new GraphView();
new Search(view);
setUpTree(view);
setUpTools(view);
setUpTables();
document.documentElement.dataset.ready = "true";
