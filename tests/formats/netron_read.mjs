// Reads a UFF file with netron's own reader and prints what it found as JSON.
// usage: node netron_read.mjs FOLDER_WITH_NETRON_SOURCES FILE.uff
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [folder, file] = process.argv.slice(2);
const load = (name) => import(pathToFileURL(`${folder}/${name}.js`).href);
await load('base');
const protobuf = await load('protobuf');
const { ModelFactory } = await load('uff');

const data = new Uint8Array(readFileSync(file));
let type = null;
const context = {
    identifier: 'model.uff',
    tags: async () => protobuf.BinaryReader.open(data).signature(),
    set: (value) => { type = value; return value; },
    get type() { return type; },
    require: (name) => load(name.replace('./', '')),
    read: async () => protobuf.BinaryReader.open(data),
    metadata: async () => ({ type: () => null })
};
const factory = new ModelFactory();
if (await factory.match(context) !== 'uff.pb') {
    throw new Error('netron does not take the file for UFF');
}
const model = await factory.open(context);
const graph = model.modules[0];
const plain = (value) => JSON.parse(JSON.stringify(value, (_, v) => typeof v === 'bigint' ? Number(v) : v));
console.log(JSON.stringify({
    format: model.format,
    imports: model.imports,
    name: graph.name,
    inputs: graph.inputs.map((i) => [i.name, i.value[0].type ? i.value[0].type.toString() : null]),
    outputs: graph.outputs.map((o) => [o.name, o.value[0].name]),
    nodes: graph.nodes.map((n) => ({
        name: n.name,
        type: n.type.name,
        inputs: n.inputs.flatMap((i) => i.value.map((v) => v.name)),
        weights: n.inputs.flatMap((i) => i.value.map((v) => v.initializer ? v.initializer.type.toString() : null)),
        attributes: Object.fromEntries(n.attributes.map((a) => [a.name, plain(a.value)]))
    }))
}));
