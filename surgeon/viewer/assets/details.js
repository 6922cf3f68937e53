// What is known of the chosen node or namespace.

const MOST_LISTED = 24;

/** Return an HTML element with attributes and children; text is never read as HTML. */
function tag(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value !== undefined) made.setAttribute(key, value);
  const shown = children.filter((child) => child !== undefined && child !== "");
  made.append(...shown.map((child) => (child instanceof Node ? child : seen(child))));
  return made;
}

function badgeOf(text, kind) {
  return tag("span", { class: `badge b-${kind}` }, text);
}

function section(title, ...content) {
  return content.length ? tag("section", {}, tag("h4", {}, title), ...content) : "";
}

/** Return rows of cells as a table. */
function rowsOf(rows) {
  return tag("table", {}, tag("tbody", {}, ...rows.map((row) => tag("tr", {}, ...row.map((cell) => tag("td", {}, cell))))));
}

class Details {
  /** Show into an element; `go(member, side)` is called when another node is asked for, `toggle(group)` to open a namespace. */
  constructor(place, go, toggle) {
    this.place = place;
    this.go = go;
    this.toggle = toggle;
  }

  say(text) {
    this.place.replaceChildren(tag("p", { class: "muted" }, text));
  }

  /** Say what there is to choose: the plugin nodes first. */
  welcome(graph, side) {
    this.graph = graph;
    this.side = side;
    const plugins = graph.nodes.filter((node) => pageData.plugins.has(node.op));
    const row = (node) => [this.#link(node.id), " ", badgeOf(node.op, "plugin")];
    const list = plugins.length ? [section("Plugin nodes", ...this.#list(plugins, row))] : [];
    this.place.replaceChildren(tag("p", { class: "muted" }, "Choose a box, or search."), ...list);
  }

  /** Tell of a node or namespace, and of what stands for it in the other graph. */
  show(member, graph, { side, other, counterparts }) {
    this.graph = graph;
    this.side = side;
    const told = member instanceof Group ? this.#group(member) : this.#node(member);
    told.splice(2, 0, other ? this.#counterparts(member, other, counterparts) : "");
    this.place.replaceChildren(...told.filter((part) => part !== ""));
    this.place.parentElement.scrollTop = 0;
  }

  #counterparts(member, other, counterparts) {
    const name = (each) => tag("code", {}, each instanceof Group ? each.path : each.name);
    const kind = (each) => tag("span", { class: "muted" }, each instanceof Group ? `${each.all.length.toLocaleString("en")} nodes` : each.op);
    const row = (each) => {
      const button = tag("button", { type: "button", class: "link" }, name(each));
      button.addEventListener("click", () => this.go(each, other));
      return [button, " ", kind(each)];
    };
    const list = counterparts.length ? this.#list(counterparts, row) : [tag("p", { class: "muted" }, "nothing")];
    return section(`In the graph ${sideName(other)}`.replace(/graph (first|second)$/, "$1 graph"), ...list);
  }

  #node(node) {
    const plugin = pageData.plugins.get(node.op);
    return [
      tag("h3", {}, tag("code", {}, node.name)),
      tag("p", {}, badgeOf(node.op, plugin ? "plugin" : "note"), " ", pageData.kind === "graph" ? "" : badgeOf(fateName(node.fate), node.fate),
        this.graph.results.has(node.id) ? badgeOf("output", "note") : ""),
      this.#why(node),
      plugin ? tag("p", { class: "muted" }, `${plugin.title}: ${plugin.summary}`) : "",
      this.#replaced(node),
      this.#fields(node, plugin),
      section("Inputs", ...this.#inputs(node)),
      section("Outputs", ...this.#outputs(node)),
      this.#readers(node),
      this.#attributes(node, plugin),
      this.#changes(node),
    ];
  }

  #why(node) {
    if (!node.reason && !node.place) return "";
    const place = node.place ? tag("code", { class: "place" }, node.place) : "";
    return tag("p", {}, `${node.reason}${node.step ? ` by the step ${node.step} ` : " "}`, place);
  }

  #replaced(node) {
    const found = pageData.replaced.get(node.name);
    if (!found) return "";
    const rows = found.slice(0, MOST_LISTED).map(([name, count]) => [tag("code", {}, name), `${count.toLocaleString("en")} nodes`]);
    return section("In the place of", rowsOf(rows));
  }

  #fields(node, plugin) {
    if (!plugin) return "";
    const derived = pageData.derived.get(node.name) || {};
    const rows = node.attributes.filter(([key]) => Object.hasOwn(plugin.fields, key)).map(([key, value]) => {
      const shown = tag("b", {}, value);
      const evidence = Object.hasOwn(derived, key) && tag("details", {}, tag("summary", {}, shown, " ", badgeOf("derived", "derived")),
        tag("ul", { class: "lines" }, ...derived[key][1].map((line) => tag("li", {}, line))));
      return [tag("code", { title: plugin.fields[key] }, key), evidence || shown];
    });
    return rows.length ? section("Fields", rowsOf(rows)) : section("Fields", tag("p", { class: "muted" }, "none"));
  }

  #link(id, slot = 0) {
    const node = this.graph.nodes[id];
    const button = tag("button", { type: "button", class: "link" }, tag("code", {}, slot ? `${node.name}:${slot}` : node.name));
    button.addEventListener("click", () => this.go(node, this.side));
    return button;
  }

  #list(items, make) {
    const rest = items.length - MOST_LISTED;
    const rows = items.slice(0, MOST_LISTED).map((item, i) => tag("li", {}, ...make(item, i)));
    return [tag("ul", { class: "plain" }, ...rows), ...(rest > 0 ? [tag("p", { class: "muted" }, `and ${rest} more`)] : [])];
  }

  #inputs(node) {
    const found = node.inputs.length ? this.#list(node.inputs, ([source, slot], i) => [
      node.ports[i] ? tag("span", { class: "muted" }, `${node.ports[i]} `) : "", this.#link(source, slot), " ", this.#spec(source, slot)]) : [];
    if (node.control.length) found.push(tag("p", { class: "muted" }, "after"), ...this.#list(node.control, (source) => [this.#link(source)]));
    return found;
  }

  #spec(id, slot) {
    return tag("code", { class: "spec" }, this.graph.nodes[id].outputs[slot] || "?");
  }

  #outputs(node) {
    const row = (spec, slot) => [node.outputs.length > 1 ? `${slot}: ` : "", tag("code", { class: "spec" }, spec)];
    return node.outputs.length ? this.#list(node.outputs, row) : [];
  }

  #readers(node) {
    if (!node.readers.length) return "";
    return section("Read by", ...this.#list(node.readers, (id) => [this.#link(id), " ", tag("span", { class: "muted" }, this.graph.nodes[id].op)]));
  }

  #attributes(node, plugin) {
    const found = node.attributes.filter(([key]) => !plugin || !Object.hasOwn(plugin.fields, key));
    return found.length ? section("Attributes", rowsOf(found.map(([key, value]) => [tag("code", {}, key), tag("code", {}, value)]))) : "";
  }

  #changes(node) {
    if (!node.changes.length) return "";
    const value = (text) => (text === null ? tag("span", { class: "muted" }, "not there") : tag("code", {}, text));
    return section("Changed", ...node.changes.map(([what, before, after]) =>
      tag("dl", {}, tag("dt", {}, what), tag("dd", {}, value(before)), tag("dd", {}, "→ ", value(after)))));
  }

  #group(group) {
    const button = tag("button", { type: "button" }, this.graph.expanded.has(group) ? "Close" : "Open");
    button.addEventListener("click", () => this.toggle(group));
    const places = countBy(group.all.filter((node) => node.place || node.step), (node) => `${node.step} ${node.place}`);
    const into = countBy(group.all.filter((node) => node.fate === "collapsed" && node.into), (node) => node.into);
    const rows = (found) => rowsOf(found.slice(0, MOST_LISTED).map(([name, count]) => [tag("code", {}, name), count.toLocaleString("en")]));
    const compared = pageData.kind !== "graph";
    const fate = fateOf(group.all);
    return [
      tag("h3", {}, tag("code", {}, group.isPart ? `${group.path || "outside namespaces"}: ${group.label}` : group.path)),
      tag("p", {}, `${group.all.length.toLocaleString("en")} nodes `, compared ? badgeOf(fateName(fate), fate) : "", " ", button),
      compared ? section("Fate", rows(countBy(group.all, (node) => fateName(node.fate)))) : "",
      into.length ? section("Collapsed into", rows(into)) : "",
      places.length ? section("By", rows(places)) : "",
      section("Operations", rows(countBy(group.all, (node) => node.op))),
      section("Read from outside", ...this.#crossing(group)),
    ].filter((part) => part !== "");
  }

  #crossing(group) {
    const inside = new Set(group.all.map((node) => node.id));
    const found = group.all.filter((node) => node.readers.some((id) => !inside.has(id)));
    return found.length ? this.#list(found, (node) => [this.#link(node.id), " ", this.#spec(node.id, 0)]) : [];
  }
}
