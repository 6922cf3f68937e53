// The data of the page: nodes, the groups that namespaces make of them, and what of it is visible.

const MOST_INSIDE = 64; // boxes that one group shows; more are split into parts
const MOST_BOXES = 320; // boxes that are laid out at once

/** Return a text with what cannot be seen escaped, such as marks that turn the direction of writing. */
function seen(text) {
  return String(text).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, (char) => `\\u{${char.codePointAt(0).toString(16)}}`);
}

/** Return the nodes of one graph from its columns; `tables` holds what the numbers in them stand for. */
function readNodes(columns, tables, constants) {
  let parts = [];
  const nodes = columns.names.map(([shared, rest], id) => {
    parts = parts.slice(0, shared).concat(rest.split("/"));
    const [fate, reason, into, step, place] = tables.marks[columns.marks[id]];
    return {
      id, name: parts.join("/"), op: tables.ops[columns.ops[id]], fate, reason, into, step, place,
      inputs: columns.inputs[id].map((input) => (Array.isArray(input) ? input : [input, 0])),
      control: columns.control[id],
      outputs: columns.outputs[id].map((number) => tables.specs[number]),
      attributes: columns.attributes[id].map((number) => tables.attributes[number]),
      ports: columns.ports[id] || [],
      changes: columns.changes[id].map((number) => tables.changes[number]),
      readers: [],
    };
  });
  for (const node of nodes) {
    for (const source of new Set([...node.inputs.map(([source]) => source), ...node.control])) nodes[source].readers.push(node.id);
  }
  const isConstant = new Set(constants);
  for (const node of nodes) node.constant = isConstant.has(node.op);
  // An Identity that only reads a constant is how frozen graphs read weights.
  for (const node of nodes) {
    if (node.op === "Identity" && node.inputs.length === 1 && nodes[node.inputs[0][0]].constant && node.readers.length) node.constant = true;
  }
  return nodes;
}

/** A namespace, a part of one with very many members, or the whole graph (path ""). */
class Group {
  constructor(path, label, parent) {
    this.path = path;
    this.label = label;
    this.parent = parent;
    this.groups = new Map();
    this.nodes = [];
    this.all = []; // every node inside, at any depth
  }
}

/** One graph as a tree of groups; `expanded` holds the open ones. */
class GroupedGraph {
  constructor(columns, data) {
    this.nodes = readNodes(columns, data.tables, data.constants);
    this.total = columns.total;
    this.results = new Set(columns.results);
    this.byName = new Map(this.nodes.map((node) => [node.name, node]));
    this.byInto = new Map();
    for (const node of this.nodes) {
      if (!node.into) continue;
      if (!this.byInto.has(node.into)) this.byInto.set(node.into, []);
      this.byInto.get(node.into).push(node);
    }
    this.root = this.#tree(data.depth);
    this.byPath = new Map();
    this.count = 0;
    this.#index(this.root);
    this.showConstants = false;
    this.expanded = new Set();
    this.#openUseful();
  }

  #tree(depth) {
    const root = new Group("", "", null);
    for (const node of this.nodes) {
      const parts = node.name.split("/");
      let group = root;
      group.all.push(node);
      for (let i = 0; i < Math.min(parts.length - 1, depth); i++) {
        if (!group.groups.has(parts[i])) group.groups.set(parts[i], new Group(parts.slice(0, i + 1).join("/"), parts[i], group));
        group = group.groups.get(parts[i]);
        group.all.push(node);
      }
      group.nodes.push(node);
    }
    // A node may have the name of a namespace (`concat` and `concat/axis`): it belongs inside.
    const adopt = (group) => {
      for (const node of group.nodes.slice()) {
        const label = node.name.slice(group.path ? group.path.length + 1 : 0);
        const inner = group.groups.get(label);
        if (!inner) continue;
        group.nodes.splice(group.nodes.indexOf(node), 1);
        inner.nodes.push(node);
        inner.all.push(node);
      }
      group.groups.forEach(adopt);
    };
    adopt(root);
    this.#split(root);
    return root;
  }

  // Too many members to be drawn at once become parts, in the order of the graph.
  #split(group) {
    group.groups.forEach((inner) => this.#split(inner));
    while (group.groups.size + group.nodes.length > MOST_INSIDE) {
      const members = [...group.groups.values(), ...group.nodes].filter((m) => !isQuiet(m)).sort((a, b) => firstId(a) - firstId(b));
      if (members.length <= MOST_INSIDE) return;
      const quiet = [...group.groups.values(), ...group.nodes].filter(isQuiet);
      const size = Math.max(MOST_INSIDE / 2, Math.ceil(members.length / MOST_INSIDE));
      group.groups = new Map();
      group.nodes = [];
      for (let start = 0; start < members.length; start += size) {
        const chunk = members.slice(start, start + size);
        const label = `${shortName(labelOf(chunk[0]), 18)} … ${shortName(labelOf(chunk[chunk.length - 1]), 18)}`;
        const part = new Group(group.path, label, group);
        part.isPart = true;
        chunk.forEach((member) => put(member, part));
        part.all = chunk.flatMap((member) => (member instanceof Group ? member.all : [member]));
        group.groups.set(`part ${start}`, part);
      }
      quiet.forEach((member) => put(member, group));
      if (quiet.length) return;
    }
  }

  #index(group) {
    group.number = this.count++;
    if (!group.isPart) this.byPath.set(group.path, group);
    group.main = mainNode(group);
    group.operations = group.all.reduce((count, node) => count + !node.constant, 0);
    for (const node of group.nodes) node.group = group;
    group.groups.forEach((inner) => this.#index(inner));
  }

  // A graph with one or two large namespaces at the top says little; open the largest until there is something to see.
  #openUseful() {
    for (let round = 0; round < 8; round++) {
      const boxes = this.boxes();
      if (boxes.length >= 8) return;
      const closed = boxes.filter((box) => box.group).sort((a, b) => b.group.operations - a.group.operations)[0];
      if (!closed || this.inside(closed.group).length > MOST_INSIDE / 2) return;
      this.expanded.add(closed.group);
    }
  }

  /** Return the boxes directly inside a group: closed groups, open groups and nodes. */
  inside(group) {
    const found = [];
    for (const inner of group.groups.values()) {
      if (!this.showConstants && inner.operations === 0) continue;
      if (!this.showConstants && inner.main) found.push({ id: `n${inner.main.id}`, node: inner.main, within: group });
      else found.push({ id: `g${inner.number}`, group: inner, within: group, open: this.expanded.has(inner) });
    }
    for (const node of group.nodes) {
      if (this.showConstants || !node.constant) found.push({ id: `n${node.id}`, node, within: group });
    }
    return found;
  }

  /** Return every visible box but the open groups, or with them where `open` is true; a group before what is inside it. */
  boxes(open = false) {
    const found = [];
    const visit = (group) => {
      for (const box of this.inside(group)) {
        if (!box.open || open) found.push(box);
        if (box.open) visit(box.group);
      }
    };
    visit(this.root);
    return found;
  }

  /** Return the edges between visible boxes: from, to, and the tensors that they stand for. */
  edges(boxes) {
    const owner = new Map();
    for (const box of boxes) {
      if (box.node) owner.set(box.node.id, box.id);
      else for (const node of box.group.all) owner.set(node.id, box.id);
    }
    const found = new Map();
    const note = (from, to, tensor, control) => {
      if (from === undefined || to === undefined || from === to) return;
      const key = `${from} ${to}`;
      if (!found.has(key)) found.set(key, { id: key, from, to, tensors: new Set(), control: true });
      const edge = found.get(key);
      edge.control = edge.control && control;
      if (!control) edge.tensors.add(tensor);
    };
    for (const node of this.nodes) {
      const to = owner.get(node.id);
      // Weights that several namespaces share would join them with edges that nobody looks for.
      for (const [source, slot] of node.inputs) {
        if (this.showConstants || !this.nodes[source].constant) note(owner.get(source), to, `${source}:${slot}`, false);
      }
      for (const source of node.control) note(owner.get(source), to, `${source}`, true);
    }
    return [...found.values()];
  }

  /** Return the text on an edge: the shape of its tensor, or how many there are. */
  edgeText(edge) {
    if (edge.tensors.size !== 1) return edge.tensors.size ? `${edge.tensors.size} tensors` : "";
    const [source, slot] = [...edge.tensors][0].split(":").map(Number);
    const spec = this.nodes[source].outputs[slot];
    if (!spec || spec.includes("...")) return "";
    const shape = spec.slice(spec.indexOf("[") + 1, -1).replaceAll(",", "×");
    const type = spec.slice(0, spec.indexOf("["));
    return `${shape || "scalar"}${type === "float32" || type === "?" ? "" : ` ${type}`}`;
  }

  /** Return what shows a member: for a constant that is not drawn, the first operation that reads it. */
  shownFor(member) {
    let found = member;
    for (let steps = 0; !(found instanceof Group) && found.constant && !this.showConstants && found.readers.length && steps < 8; steps++) {
      found = this.nodes[found.readers[0]];
    }
    return found;
  }

  /** Open every group around a node or group, so that it is visible; close others where there would be too many boxes. Return whether anything changed. */
  reveal(member) {
    const was = this.expanded;
    const count = was.size;
    const path = [];
    for (let group = member instanceof Group ? member.parent : member.group; group && group !== this.root; group = group.parent) path.push(group);
    const opened = path.filter((group) => this.showConstants || group.main !== member);
    opened.forEach((group) => this.expanded.add(group));
    if (this.boxes().length > MOST_BOXES) this.expanded = new Set(opened);
    return this.expanded !== was || this.expanded.size > count;
  }

  /** Open or close a group; return why not where there would be too many boxes. */
  toggle(group) {
    if (this.expanded.delete(group)) return "";
    this.expanded.add(group);
    if (this.boxes().length <= MOST_BOXES) return "";
    this.expanded.delete(group);
    return `More than ${MOST_BOXES} boxes cannot be drawn legibly; close some namespaces first.`;
  }

  /** Open every visible closed group that leaves the drawing legible. */
  openMore() {
    for (const box of this.boxes().filter((box) => box.group)) {
      this.expanded.add(box.group);
      if (this.boxes().length > MOST_BOXES / 2) this.expanded.delete(box.group);
    }
  }

  closeAll() {
    this.expanded.clear();
  }

  /** Return what holds nodes: for each box at the top the innermost namespace or node with all of them, those with most first. */
  holders(nodes) {
    const tops = new Map();
    for (const node of nodes) {
      const path = [node];
      for (let group = node.group; group !== this.root; group = group.parent) if (!group.isPart) path.unshift(group);
      const top = tops.get(path[0]) || { count: 0, path };
      let shared = 0;
      while (shared < Math.min(path.length, top.path.length) && path[shared] === top.path[shared]) shared++;
      tops.set(path[0], { count: top.count + 1, path: path.slice(0, shared) });
    }
    return [...tops.values()].sort((a, b) => b.count - a.count).map(({ path }) => path[path.length - 1]);
  }

  /** Return what stands for a node or group of another graph in this one: nodes and groups, what stands for most of it first. */
  counterparts(member) {
    if (!(member instanceof Group)) return this.holders(this.#counterNodes(member));
    const same = member.isPart ? undefined : this.byPath.get(member.path);
    if (same) return [same];
    // What a node took the place of says more than what merely reads past those that were forwarded.
    const replaced = member.all.filter((node) => node.fate === "collapsed");
    return this.holders((replaced.length ? replaced : member.all).flatMap((node) => this.#counterNodes(node)));
  }

  #counterNodes(node) {
    if (node.into) return [this.byName.get(node.into)].filter(Boolean);
    if (node.fate === "added") return this.byInto.get(node.name) || [];
    const same = this.byName.get(node.name);
    return same && node.fate !== "dropped" && same.fate !== "added" ? [same] : [];
  }

  /** Return the box that shows a node or group now. */
  boxOf(member) {
    const boxes = this.boxes(true);
    const own = boxes.filter((box) => (member instanceof Group ? box.group === member : box.node === member));
    if (own.length) return own[own.length - 1];
    const around = member instanceof Group ? member.parent : member.group;
    return around && around !== this.root ? this.boxOf(around) : undefined;
  }
}

function mainNode(group) {
  const operations = group.all.filter((node) => !node.constant);
  return operations.length === 1 ? operations[0] : undefined;
}

function isQuiet(member) {
  return member instanceof Group ? member.all.every((node) => node.constant) : member.constant;
}

function firstId(member) {
  return member instanceof Group ? member.all[0].id : member.id;
}

function labelOf(member) {
  return member instanceof Group ? member.label : lastPart(member.name);
}

function put(member, group) {
  if (member instanceof Group) {
    member.parent = group;
    group.groups.set(member, member);
  } else group.nodes.push(member);
}

function lastPart(name) {
  return name.slice(name.lastIndexOf("/") + 1) || name;
}

function shortName(name, most) {
  const letters = [...name];
  if (letters.length <= most) return name;
  const head = Math.ceil((most - 1) / 2);
  return `${letters.slice(0, head).join("")}…${letters.slice(letters.length - (most - 1 - head)).join("")}`;
}

/** Return how often each value of `key` occurs, the most frequent first. */
function countBy(items, key) {
  const counts = new Map();
  for (const item of items) counts.set(key(item), (counts.get(key(item)) || 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]);
}

/** Return the fate of a whole group, by the same rule as the table of namespaces. */
function fateOf(nodes) {
  const gone = new Set(["collapsed", "forwarded", "dropped"]);
  const fates = new Set(nodes.map((node) => node.fate));
  const left = [...fates].filter((fate) => gone.has(fate));
  const stays = [...fates].filter((fate) => !gone.has(fate));
  if (left.length && stays.length) return "partly";
  if (left.length) return fates.has("collapsed") ? "collapsed" : countBy(nodes, (node) => node.fate)[0][0];
  if (stays.length === 1) return stays[0];
  return fates.has("changed") ? "changed" : fates.has("rewired") ? "rewired" : "kept";
}

/** Return the name of one of the graphs for people. */
function sideName(side) {
  const diff = { before: "first", after: "second" };
  return pageData.kind === "diff" ? diff[side] : side;
}

/** Return a fate's name for people. */
function fateName(fate) {
  return pageData.kind === "diff" && fate === "dropped" ? "removed" : fate;
}
