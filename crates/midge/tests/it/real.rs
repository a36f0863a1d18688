//! Programs that others made for WASI, as commands over HTTP: what is asked for is in the body, what
//! they print is the answer, and it is what the same program says on this machine itself.
//!
//! They are run as they were published. Native code of CPython takes four seconds to make and is kept
//! with that of the other tests.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use midge_testkit::Midge;
use midge_testkit::http::{Answer, post};
use midge_testkit::toolchain::{REAL_PROGRAMS, Toolchains, or_skip};

use crate::kit::Site;

/// Looks at the language, the standard library, numbers and text.
const PYTHON: &str = r#"
import collections, dataclasses, datetime, decimal, hashlib, json, re, statistics, zlib

@dataclasses.dataclass
class Point:
    x: int
    y: int

def primes():
    found = []
    candidate = 2
    while True:
        if all(candidate % prime for prime in found):
            found.append(candidate)
            yield candidate
        candidate += 1

told = {
    "primes": [prime for prime, _ in zip(primes(), range(20))],
    "third": str(decimal.Decimal(1) / 3),
    "power": 3 ** 200,
    "digest": hashlib.sha256("größer".encode()).hexdigest(),
    "words": collections.Counter(re.findall(r"\w+", "to be or not to be")),
    "day": datetime.date(2024, 2, 29).strftime("%A %j"),
    "deviation": statistics.pstdev([1.5, 2.5, 4.0]),
    "crc": zlib.crc32(zlib.decompress(zlib.compress(b"midge" * 1000))),
    "point": dataclasses.asdict(Point(1, -2)),
}
print(json.dumps(told, sort_keys=True, ensure_ascii=False))
"#;

/// The same of JavaScript; `print` is what `console.log` is called everywhere but in Node.js.
const JAVASCRIPT: &str = r#"
function* primes() {
  for (let n = 2, found = []; ; n++) {
    if (found.every((prime) => n % prime)) {
      found.push(n);
      yield n;
    }
  }
}
class Point {
  #y = -2;
  constructor(x) { this.x = x; }
  get sum() { return this.x + this.#y; }
}
const first = [];
for (const prime of primes()) {
  if (first.push(prime) === 20) break;
}
console.log(JSON.stringify({
  first,
  power: String(3n ** 200n),
  words: [..."to be or not".matchAll(/(?<word>\w+)/gu)].map((found) => found.groups.word),
  third: 1 / 3,
  largest: Number.MAX_VALUE,
  text: "größer".toUpperCase(),
  day: new Date(Date.UTC(2024, 1, 29)).toISOString(),
  sorted: Object.entries(Object.groupBy([3, 1, 2], (n) => (n % 2 ? "odd" : "even"))),
  sum: new Point(1).sum,
}));
Promise.resolve("later").then((text) => console.log(text));
"#;

const CARD: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" width="120" height="80">
<rect width="120" height="80" fill="#102030"/>
<circle cx="60" cy="40" r="30" fill="#ff8000"/>
</svg>
"##;

/// Draws what is on stdin with the resvg of this machine.
const DRAW: &str = "import resvg_py, sys; \
    sys.stdout.buffer.write(bytes(resvg_py.svg_to_bytes(svg_string=sys.stdin.read())))";

/// Decodes a PNG of eight bits and four channels and prints its size, the digest of its pixels and four
/// of them.
const DECODE: &str = r#"
import hashlib, struct, sys, zlib
png = sys.stdin.buffer.read()
assert png[:8] == b"\x89PNG\r\n\x1a\n", png[:64]
at, data = 8, b""
while at < len(png):
    size, kind = struct.unpack(">I4s", png[at:at + 8])
    chunk = png[at + 8:at + 8 + size]
    assert struct.unpack(">I", png[at + 8 + size:at + 12 + size])[0] == zlib.crc32(kind + chunk)
    if kind == b"IHDR":
        width, height, depth, color = struct.unpack(">IIBB", chunk[:10])
        assert (depth, color) == (8, 6)
    if kind == b"IDAT":
        data += chunk
    at += 12 + size
data, step = zlib.decompress(data), width * 4
rows, above = [], bytes(step)
for y in range(height):
    line = bytearray(data[y * (step + 1) + 1:(y + 1) * (step + 1)])
    way = data[y * (step + 1)]
    for x in range(step):
        a = line[x - 4] if x >= 4 else 0
        b, c = above[x], above[x - 4] if x >= 4 else 0
        p = a + b - c
        paeth = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
        line[x] = (line[x] + [0, a, b, (a + b) // 2, paeth][way]) % 256
    rows.append(line)
    above = line
pixel = lambda x, y: rows[y][x * 4:x * 4 + 4].hex()
digest = hashlib.sha256(b"".join(rows)).hexdigest()
print(width, height, pixel(0, 0), pixel(60, 40), pixel(60, 9), pixel(60, 11), digest)
"#;

/// A server for a program of a registry with this command line, and its manifest's folder, if the
/// program can be had.
fn serve(name: &str, manifest: &str) -> Option<(Midge, Site)> {
    let file = REAL_PROGRAMS.iter().find(|file| file.name == name);
    let path: PathBuf = or_skip(Toolchains::shared().file(file.unwrap()))?;
    let path = path.display();
    let text = format!("[function.{name}]\ncomponent = \"{path}\"\nroutes = [\"/*\"]\n{manifest}");
    let site = Site::written(&text);
    let midge = site.server().args(["--workers", "1"]).start();
    Some((midge, site))
}

/// What the body leads to: an answer.
async fn ask(midge: &Midge, body: &'static str) -> Answer {
    let answer = post(midge.addr(), "/", body).await.unwrap();
    assert_eq!(answer.status, 200, "{}\n{}", answer.text(), midge.said());
    answer
}

/// What a program of this machine makes of this input.
fn native(command: &mut Command, input: &[u8]) -> Vec<u8> {
    command.env("PYTHONIOENCODING", "utf-8");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}");
    output.stdout
}

/// The size of a picture and its pixels, in words.
fn pixels(png: &[u8]) -> String {
    let told = native(Command::new("python3").args(["-c", DECODE]), png);
    String::from_utf8(told).unwrap()
}

#[tokio::test]
async fn cpython_says_what_python_says() {
    let Some((midge, _site)) = serve("cpython", "") else {
        return;
    };
    let native = native(Command::new("python3").arg("-"), PYTHON.as_bytes());
    for _ in 0..2 {
        assert_eq!(ask(&midge, PYTHON).await.body.unwrap(), native);
    }
    let version = ask(
        &midge,
        "import sys, os\nprint('Content-Type: text/x-python\\n')\n\
         print(sys.version_info[:2], sys.platform, os.environ['REQUEST_METHOD'])",
    );
    let version = version.await;
    assert_eq!(version.headers["content-type"], "text/x-python");
    assert_eq!(version.text(), "(3, 12) wasi POST\n");
}

#[tokio::test]
async fn quickjs_says_what_node_says() {
    let args = r#"args = ["--std", "-e", "std.evalScript(std.in.readAsString())"]"#;
    let Some((midge, _site)) = serve("quickjs", args) else {
        return;
    };
    // Grouping came with 21; older ones get it from a line that the other does not notice.
    let older = "Object.groupBy ??= (all, key) => all.reduce((groups, one) => \
        ((groups[key(one)] ??= []).push(one), groups), {});\n";
    let script = [older, JAVASCRIPT].concat();
    let native = native(Command::new("node").arg("-"), script.as_bytes());
    for _ in 0..2 {
        assert_eq!(ask(&midge, JAVASCRIPT).await.body.unwrap(), native);
    }
}

#[tokio::test]
async fn resvg_draws_what_resvg_draws() {
    let args = r#"args = ["--resources-dir", "/", "-", "-c"]"#;
    let Some((midge, _site)) = serve("resvg", args) else {
        return;
    };
    let Some(packages) = or_skip(Toolchains::shared().resvg()) else {
        return;
    };
    let mut draw = Command::new("python3");
    let draw = draw.args(["-c", DRAW]).env("PYTHONPATH", packages);
    let native = pixels(&native(draw, CARD.as_bytes()));
    let seen = "120 80 102030ff ff8000ff 102030ff ff8000ff ";
    assert!(native.starts_with(seen), "{native}");
    let first = ask(&midge, CARD).await.body.unwrap();
    assert_eq!(pixels(&first), native);
    // Drawn again it is the same to the last byte.
    assert_eq!(ask(&midge, CARD).await.body.unwrap(), first);
    let refused = post(midge.addr(), "/", "<svg").await.unwrap();
    assert_eq!(refused.status, 502);
}
