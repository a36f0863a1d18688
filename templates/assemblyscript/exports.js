// Exports in AssemblyScript are named by identifiers, those of components are not: `handle` of
// assembly/index.ts gets the name that wit/world.wit asks for.
import { Transform } from "assemblyscript/transform";

export default class extends Transform {
  afterCompile(module) {
    module.removeExport("handle");
    module.addFunctionExport("assembly/index/handle", "wasi:http/incoming-handler@0.2.12#handle");
  }
}
