// usage: node componentize.mjs SOURCE WIT OUT [FEATURE-TO-LEAVE-OUT]...
//
// Makes a component of a JavaScript file. It is copied beside the packages that it imports, because
// they are looked for from where it lies.
import { componentize } from "@bytecodealliance/componentize-js";
import { readFile, writeFile } from "node:fs/promises";

const [source, witPath, out, ...disableFeatures] = process.argv.slice(2);
const text = await readFile(source, "utf8");
const { component } = await componentize(text, { witPath, worldName: "proxy", disableFeatures });
await writeFile(out, component);
