// What the host offers besides the APIs of the web: what stands in wit/world.wit, as TypeScript.

/** One request at a time is handed to the function as an event. */
declare function addEventListener(type: "fetch", listener: (event: FetchEvent) => void): void;

declare module "wasi:keyvalue/store@0.2.0-draft2" {
  /** Opens a bucket that midge.toml grants; throws otherwise. */
  export function open(identifier: string): Bucket;

  /** Keys and values that outlive the function's instances. Every method may throw. */
  export interface Bucket {
    get(key: string): Uint8Array | undefined;
    set(key: string, value: Uint8Array): void;
    delete(key: string): void;
    exists(key: string): boolean;
    /** A page of keys; the cursor, if there is one, asks for the next. */
    listKeys(cursor?: string): { keys: string[]; cursor?: string };
  }
}
