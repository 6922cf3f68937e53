// The drawing: boxes laid out by dagre, as SVG, moved and zoomed by D3.

const SVG = "http://www.w3.org/2000/svg";
const FONT = 13;
const HEADER = 25; // height of the name of an open namespace
const MOST_ROUTED = 450; // edges that are laid out; of more, the long ones become straight lines
const LEAST_START = matchMedia("(pointer: coarse)").matches ? 0.5 : 0.25; // scale below which a drawing starts at a box rather than as a whole
const LEGIBLE = 10; // pixels of the smallest name on the screen, and a little less for the texts on edges
const SPARSE = 0.48; // scale below which signs of namespaces and texts on edges are left out
const STILL = matchMedia("(prefers-reduced-motion: reduce)");

/** Return an SVG element with attributes and children. */
function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) if (value !== undefined) made.setAttribute(key, value);
  made.append(...children.map((child) => (child instanceof Node ? child : seen(child))));
  return made;
}

/** Return a rectangle around a middle. */
function rectangle(x, y, width, height) {
  return { left: x - width / 2, right: x + width / 2, top: y - height / 2, bottom: y + height / 2 };
}

/** Return whether a rectangle touches none of others. */
function free(own, others) {
  return others.every((each) => own.right <= each.left || each.right <= own.left || own.bottom <= each.top || each.bottom <= own.top);
}

class Drawing {
  /** Draw into an element; `label` names the graph, `listener` gets `choose(box)` and `toggle(box)`. */
  constructor(place, label, listener) {
    this.listener = listener;
    this.view = svg("g");
    this.arrow = `arrow-${place.dataset.canvas}`;
    const size = { viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 9, markerHeight: 9, markerUnits: "userSpaceOnUse", orient: "auto" };
    const arrow = svg("marker", { id: this.arrow, class: "arrow", ...size }, svg("path", { d: "M0 0L8 4L0 8z" }));
    this.svg = svg("svg", { role: "application", tabindex: 0, "aria-label": `${label}; arrow keys move, Enter opens, plus and minus zoom` },
      svg("defs", {}, arrow), this.view);
    place.append(this.svg);
    this.pen = document.createElement("canvas").getContext("2d");
    this.zoom = d3.zoom().scaleExtent([0.02, 4])
      .filter((event) => !event.button && (event.type !== "wheel" || event.ctrlKey || event.metaKey || this.svg.contains(document.activeElement)))
      .on("zoom", (event) => {
        this.view.setAttribute("transform", event.transform);
        if (event.transform.k !== this.scale) this.#label(event.transform.k);
      });
    d3.select(this.svg).call(this.zoom).on("dblclick.zoom", null);
    this.svg.addEventListener("keydown", (event) => this.#key(event));
    this.items = new Map();
    this.widths = new Map(); // of texts, in ems
  }

  /** Lay out and draw a grouped graph. */
  draw(graph) {
    this.graph = graph;
    const boxes = graph.boxes(true);
    const leaves = boxes.filter((box) => !box.open);
    const edges = graph.edges(leaves);
    const layout = this.#layout(boxes, edges);
    this.extent = layout.graph();
    this.items = new Map();
    this.lines = new Map();
    const areas = svg("g"), lines = svg("g"), labels = svg("g"), marks = svg("g");
    for (const box of boxes) {
      const at = layout.node(box.id);
      const item = box.open ? this.#area(box, at) : this.#box(box, at);
      this.items.set(box.id, { box, at, item });
      (box.open ? areas : marks).append(item);
    }
    for (const edge of edges) {
      const at = layout.edge(edge.from, edge.to) || this.#straight(layout.node(edge.from), layout.node(edge.to));
      const line = svg("path", { class: edge.control ? "edge control" : "edge", d: this.#curve(at.points), "marker-end": `url(#${this.arrow})` });
      lines.append(line);
      const text = graph.edgeText(edge);
      const label = text ? svg("text", { class: "edge-text", x: at.x, y: at.y + 4 }, text) : undefined;
      if (label) labels.append(label);
      this.lines.set(edge.id, { edge, line, label });
    }
    this.view.replaceChildren(areas, lines, labels, marks);
    this.current = undefined;
    this.scale = undefined;
    this.#label(d3.zoomTransform(this.svg).k);
  }

  // Names stay large enough to be read: from afar they grow, into empty ground or shortened to their box, and give
  // up the second line. Where there is no room, the more telling name goes first.
  #label(scale) {
    this.scale = scale;
    const far = FONT * scale < LEGIBLE;
    this.view.classList.toggle("far", far);
    this.view.classList.toggle("sparse", scale < SPARSE);
    const size = far ? LEGIBLE / scale : FONT;
    const entries = [...this.items.values()].sort((a, b) => this.#weight(b) - this.#weight(a));
    const taken = entries.filter((entry) => !entry.box.open).map(({ at }) => rectangle(at.x, at.y, at.width, at.height));
    const own = new Map(entries.filter((entry) => !entry.box.open).map((entry, i) => [entry, taken[i]]));
    const beside = this.#beside(size);
    for (const entry of entries) this.#name(entry, size, far, taken, own.get(entry), beside);
    if (scale < SPARSE) return;
    const small = far ? (0.9 * LEGIBLE) / scale : undefined;
    for (const { label } of this.lines.values()) {
      if (!label) continue;
      label.style.fontSize = far ? `${small}px` : "";
      const at = rectangle(Number(label.getAttribute("x")), Number(label.getAttribute("y")) - 4, far ? this.#width(label.textContent, small) : 0, small);
      label.classList.toggle("quiet", far && !free(at, taken));
      if (far && free(at, taken)) taken.push(at);
    }
  }

  #name({ box, at, item }, size, far, taken, own, beside) {
    const name = item.querySelector(".name");
    const others = taken.filter((each) => each !== own);
    name.style.fontSize = far ? `${size}px` : "";
    if (box.open) {
      const most = Math.floor((at.width - 40) / (0.62 * size));
      name.textContent = seen(shortName(box.group.label, Math.max(far ? 4 : 6, most)));
      const width = this.#width(name.textContent, size, "600");
      const place = rectangle(at.x - at.width / 2 + 10 + width / 2, at.y - at.height / 2 + 17 - size / 3, width, size);
      const fits = !far || free(place, others);
      name.classList.toggle("quiet", !fits);
      if (far && fits) taken.push(place);
      return;
    }
    const whole = this.#texts(box)[0];
    name.setAttribute("y", far ? at.y + size / 3 : at.y - 3);
    if (!far) {
      name.textContent = seen(whole);
      name.classList.remove("quiet");
      return;
    }
    const space = (text) => rectangle(at.x, at.y, this.#width(text, size, "600"), size);
    const letters = Math.floor((at.width + 8) / (0.62 * size));
    const fits = (place) => place.left >= -beside && place.right <= this.extent.width + beside && free(place, others);
    const text = [whole, shortName(whole, letters)].find((each, i) => (i === 0 || letters >= 5) && fits(space(each)));
    name.classList.toggle("quiet", text === undefined);
    if (text === undefined) return;
    name.textContent = seen(text);
    taken.push(space(text));
  }

  // The ground left and right of the drawing that is seen when the whole is.
  #beside(size) {
    const { width } = this.svg.getBoundingClientRect();
    return Math.max(0, ((width * size) / LEGIBLE - this.extent.width) / 2 - size / 2);
  }

  // How much a name says: plugins and outputs first, then what a recipe touched, then large namespaces.
  #weight({ box }) {
    const nodes = box.node ? [box.node] : box.group.all;
    if (box.node && pageData.plugins.has(box.node.op)) return 1e9;
    if (box.node && this.graph.results.has(box.node.id)) return 1e8;
    return (box.node && box.node.fate === "added" ? 1e7 : 0) + nodes.length;
  }

  #layout(boxes, edges) {
    const layout = new dagre.graphlib.Graph({ compound: true });
    layout.setGraph({ rankdir: "TB", nodesep: 14, ranksep: boxes.some((box) => box.open) ? 44 : 30, edgesep: 8, marginx: 16, marginy: 16 });
    layout.setDefaultEdgeLabel(() => ({}));
    for (const box of boxes) layout.setNode(box.id, box.open ? {} : this.#size(box));
    for (const box of boxes) if (box.within !== this.graph.root) layout.setParent(box.id, `g${box.within.number}`);
    for (const edge of this.#shortest(boxes, edges)) {
      const text = this.graph.edgeText(edge);
      layout.setEdge(edge.from, edge.to, { width: text ? this.#width(text, 11) + 8 : 0, height: text ? 16 : 0, labelpos: "c" });
    }
    // An open group without visible members is a box like any other to dagre.
    for (const box of boxes) if (box.open && !layout.children(box.id).length) layout.setNode(box.id, this.#size(box));
    dagre.layout(layout);
    this.#raise(layout, boxes);
    this.#mirror(layout, boxes);
    return layout;
  }

  // Room for the name of an open namespace above what is inside; inner ones first.
  #raise(layout, boxes) {
    const highest = new Map();
    for (const box of boxes.slice().reverse()) {
      const at = layout.node(box.id);
      let top = at.y - at.height / 2;
      if (box.open && highest.has(box.group)) {
        const raised = Math.min(top, highest.get(box.group) - HEADER);
        at.height += top - raised;
        at.y -= (top - raised) / 2;
        top = raised;
      }
      highest.set(box.within, Math.min(top, highest.has(box.within) ? highest.get(box.within) : Infinity));
    }
    const above = Math.max(0, 8 - highest.get(this.graph.root));
    if (!above) return;
    for (const box of boxes) layout.node(box.id).y += above;
    for (const id of layout.edges()) {
      const edge = layout.edge(id);
      if ("y" in edge) edge.y += above;
      for (const point of edge.points) point.y += above;
    }
    layout.graph().height += above;
  }

  #shortest(boxes, edges) {
    if (edges.length <= MOST_ROUTED) return edges;
    const order = new Map(boxes.map((box, i) => [box.id, i]));
    const length = (edge) => Math.abs(order.get(edge.from) - order.get(edge.to));
    return edges.slice().sort((a, b) => length(a) - length(b)).slice(0, MOST_ROUTED / 3);
  }

  #straight(from, to) {
    const down = to.y > from.y ? 1 : -1;
    const points = [{ x: from.x, y: from.y + (down * from.height) / 2 }, { x: to.x, y: to.y - (down * to.height) / 2 }];
    return { points, x: (points[0].x + points[1].x) / 2, y: (points[0].y + points[1].y) / 2 };
  }

  // Left and right are the same to dagre; to a reader, what comes first in the graph stands left.
  #mirror(layout, boxes) {
    let order = 0;
    const first = (box) => (box.node ? box.node.id : box.group.all[0].id);
    const rows = new Map();
    for (const box of boxes) {
      const at = layout.node(box.id);
      const row = rows.get(Math.round(at.y)) || [];
      row.push([first(box), at.x]);
      rows.set(Math.round(at.y), row);
    }
    for (const row of rows.values()) {
      row.sort((a, b) => a[0] - b[0]);
      for (let i = 1; i < row.length; i++) order += Math.sign(row[i][1] - row[i - 1][1]);
    }
    if (order >= 0) return;
    const { width } = layout.graph();
    for (const id of layout.nodes()) layout.node(id).x = width - layout.node(id).x;
    for (const id of layout.edges()) {
      const edge = layout.edge(id);
      if ("x" in edge) edge.x = width - edge.x;
      for (const point of edge.points) point.x = width - point.x;
    }
  }

  #width(text, size = FONT, weight = "") {
    const key = `${weight} ${text}`;
    if (!this.widths.has(key)) {
      this.pen.font = `${weight} ${FONT}px system-ui, sans-serif`;
      this.widths.set(key, this.pen.measureText(text).width / FONT);
    }
    return this.widths.get(key) * size;
  }

  #texts(box) {
    if (box.group) return [shortName(box.group.label, 24), `${box.group.all.length.toLocaleString("en")} nodes`];
    const within = box.within.path && !box.within.isPart ? box.within.path.length + 1 : 0;
    const name = box.node.name.startsWith(box.within.path) ? box.node.name.slice(within) : lastPart(box.node.name);
    return [shortName(name, 24), shortName(box.node.op, 24)];
  }

  #size(box) {
    const [first, second] = this.#texts(box);
    return { width: Math.max(56, this.#width(first, FONT, "600"), this.#width(second, 11)) + 26, height: 44 };
  }

  #attributes(box, kind) {
    const nodes = box.node ? [box.node] : box.group.all;
    const plugin = nodes.some((node) => pageData.plugins.has(node.op)) ? " plugin" : "";
    const fate = box.node ? box.node.fate : fateOf(nodes);
    const [first, second] = this.#texts(box);
    const state = box.group ? `, a namespace, ${box.open ? "open" : "closed"}` : "";
    return {
      class: `${kind} f-${fate}${plugin}`, tabindex: -1, role: "button", "data-name": box.node ? box.node.name : box.group.path,
      "aria-label": `${first}, ${second}${state}, ${fateName(fate)}`, "aria-expanded": box.group ? String(Boolean(box.open)) : undefined,
    };
  }

  #listen(item, box) {
    item.addEventListener("click", (event) => { event.stopPropagation(); this.focus(box); });
    item.addEventListener("dblclick", (event) => { event.stopPropagation(); if (box.group) this.listener.toggle(box); });
    return item;
  }

  #box(box, at) {
    const [first, second] = this.#texts(box);
    const left = at.x - at.width / 2, top = at.y - at.height / 2;
    const middle = at.x + 2;
    const item = svg("g", this.#attributes(box, "box"));
    item.append(svg("title", {}, box.node ? box.node.name : box.group.path || box.group.label));
    if (box.group) item.append(svg("rect", { class: "behind", x: left + 4, y: top + 4, width: at.width, height: at.height, rx: 6 }));
    item.append(svg("rect", { x: left, y: top, width: at.width, height: at.height, rx: 6 }),
      svg("rect", { class: "stripe", x: left, y: top + 6, width: 4, height: at.height - 12, rx: 2 }),
      svg("text", { class: "name", x: middle, y: at.y - 3 }, first), svg("text", { class: "below", x: middle, y: at.y + 14 }, second));
    if (box.group) item.append(this.#sign(box, at.x + at.width / 2 - 2, top + 2));
    return this.#listen(item, box);
  }

  #area(box, at) {
    const left = at.x - at.width / 2, top = at.y - at.height / 2;
    const item = svg("g", this.#attributes(box, "area"));
    item.append(svg("title", {}, box.group.path || box.group.label), svg("rect", { x: left, y: top, width: at.width, height: at.height, rx: 8 }),
      svg("text", { class: "name", x: left + 10, y: top + 17 }, box.group.label),
      this.#sign(box, left + at.width - 12, top + 12));
    return this.#listen(item, box);
  }

  #sign(box, x, y) {
    const sign = svg("g", { class: "sign", "aria-hidden": "true" }, svg("circle", { cx: x, cy: y, r: 8 }),
      svg("path", { d: `M${x - 4} ${y}h8${box.open ? "" : `M${x} ${y - 4}v8`}` }));
    sign.addEventListener("click", (event) => { event.stopPropagation(); this.listener.toggle(box); });
    return sign;
  }

  // Through the middles of the segments, so that bends are round.
  #curve(points) {
    const middle = (a, b) => `${((a.x + b.x) / 2).toFixed(1)} ${((a.y + b.y) / 2).toFixed(1)}`;
    const exact = (a) => `${a.x.toFixed(1)} ${a.y.toFixed(1)}`;
    let path = `M${exact(points[0])}`;
    if (points.length > 2) path += `L${middle(points[0], points[1])}`;
    for (let i = 1; i < points.length - 1; i++) path += `Q${exact(points[i])} ${middle(points[i], points[i + 1])}`;
    return `${path}L${exact(points[points.length - 1])}`;
  }

  /** Mark a box as the current one, and tell. */
  focus(box) {
    const entry = this.items.get(box.id);
    if (!entry) return;
    this.point([box]);
    this.take(box);
    this.listener.choose(box);
  }

  /** Give a box the keyboard. */
  take(box) {
    this.items.get(box.id).item.focus({ preventScroll: true });
  }

  /** Mark boxes, the first as the current one, without telling. */
  point(boxes) {
    this.clear();
    const entries = boxes.map((box) => this.items.get(box.id)).filter(Boolean);
    if (!entries.length) return;
    [this.current] = entries;
    this.view.classList.add("choosing");
    for (const { item } of entries) item.classList.add("current");
    const { box } = this.current;
    const near = new Set([box.id]);
    for (const { edge, line, label } of this.lines.values()) {
      const within = box.open && (this.#isInside(edge.from, box) || this.#isInside(edge.to, box));
      if (edge.from !== box.id && edge.to !== box.id && !within) continue;
      line.classList.add("near");
      if (label) label.classList.add("near");
      near.add(edge.from).add(edge.to);
    }
    for (const [id, { item }] of this.items) item.classList.toggle("near", near.has(id));
  }

  #isInside(id, box) {
    for (let group = this.items.get(id).box.within; group; group = group.parent) if (group === box.group) return true;
    return false;
  }

  /** Let go of the current box. */
  clear() {
    this.view.classList.remove("choosing");
    for (const marked of this.view.querySelectorAll(".near, .current")) marked.classList.remove("near", "current");
    this.current = undefined;
  }

  #go(transform, still = false) {
    const selection = d3.select(this.svg);
    if (still || STILL.matches) selection.call(this.zoom.transform, transform);
    else selection.transition().duration(250).call(this.zoom.transform, transform);
  }

  /** Show the whole drawing. */
  fit(still = false) {
    const { width, height } = this.svg.getBoundingClientRect();
    if (!width || !this.extent || !(this.extent.width > 0)) return;
    const scale = Math.min(1.25, width / this.extent.width, height / this.extent.height);
    this.#go(d3.zoomIdentity.translate((width - this.extent.width * scale) / 2, (height - this.extent.height * scale) / 2).scale(scale), still);
  }

  /** Show the whole drawing where it can be read then, else what is around `box`. */
  start(box) {
    const { width, height } = this.svg.getBoundingClientRect();
    if (!width || !this.extent) return;
    if (!box || Math.min(width / this.extent.width, height / this.extent.height) >= LEAST_START) {
      this.fit(true);
      return;
    }
    this.#go(d3.zoomIdentity.scale(LEAST_START), true);
    this.centre(box, true);
  }

  /** Bring a box to the middle, at a size that can be read. */
  centre(box, still = false) {
    const entry = this.items.get(box.id);
    if (!entry) return;
    const { width, height } = this.svg.getBoundingClientRect();
    if (!width) return;
    const fits = Math.min(1, (width - 30) / entry.at.width, (height - 30) / entry.at.height);
    const scale = Math.min(fits, Math.max(d3.zoomTransform(this.svg).k, 0.8));
    // No empty ground beyond an edge of the drawing, where the drawing could fill it.
    const offset = (room, whole, at) => {
      const spare = room - whole * scale;
      return spare >= 0 ? spare / 2 : Math.min(0, Math.max(spare, room / 2 - at * scale));
    };
    const left = offset(width, this.extent.width, entry.at.x), top = offset(height, this.extent.height, entry.at.y);
    this.#go(d3.zoomIdentity.translate(left, top).scale(scale), still);
  }

  /** Multiply the scale. */
  scaleBy(factor) {
    const selection = d3.select(this.svg);
    (STILL.matches ? selection : selection.transition().duration(150)).call(this.zoom.scaleBy, factor);
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const moves = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };
    if (moves[event.key]) this.#move(...moves[event.key]);
    else if (event.key === "+" || event.key === "=") this.scaleBy(1.4);
    else if (event.key === "-") this.scaleBy(1 / 1.4);
    else if (event.key === "0") this.fit();
    else if ((event.key === "Enter" || event.key === " ") && this.current) {
      if (this.current.box.group) this.listener.toggle(this.current.box);
      else this.listener.choose(this.current.box);
    } else if (event.key === "Escape") {
      this.clear();
      this.svg.focus({ preventScroll: true });
    } else return;
    event.preventDefault();
  }

  // To the nearest box in a direction; what lies aside counts double.
  #move(dx, dy) {
    const from = this.current ? this.current.at : { x: this.extent.width / 2, y: 0 };
    let best, least = Infinity;
    for (const entry of this.items.values()) {
      if (entry === this.current || entry.box.open) continue;
      const along = (entry.at.x - from.x) * dx + (entry.at.y - from.y) * dy;
      const aside = Math.abs((entry.at.x - from.x) * dy) + Math.abs((entry.at.y - from.y) * dx);
      if (along > 1 && along + 2 * aside < least) [best, least] = [entry, along + 2 * aside];
    }
    if (!best) return;
    this.focus(best.box);
    this.#keepVisible(best);
  }

  #keepVisible(entry) {
    const seen = entry.item.getBoundingClientRect(), frame = this.svg.getBoundingClientRect();
    const outside = seen.left < frame.left || seen.right > frame.right || seen.top < frame.top || seen.bottom > frame.bottom;
    if (outside) this.centre(entry.box);
  }
}
