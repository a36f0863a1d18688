//! Modules that are large or deep in one respect, written byte by byte: a file of them would be
//! megabytes of nothing.

const BLOCK: [u8; 2] = [0x02, 0x40];
const LOOP: [u8; 2] = [0x03, 0x40];
const IF: [u8; 4] = [0x41, 0x01, 0x04, 0x40];
const END: u8 = 0x0b;

/// A command with so many functions that each do so much: load, add and drop.
pub(super) fn functions(count: u32, work: usize) -> Vec<u8> {
    let code = [0x41, 0, 0x28, 2, 0, 0x41, 1, 0x6a, 0x1a].repeat(work);
    module(count, &body(&code))
}

/// A command with one function of so many bytes.
pub(super) fn huge(bytes: usize) -> Vec<u8> {
    let step = [0x41, 0, 0x41, 0, 0x28, 2, 0, 0x41, 1, 0x6a, 0x36, 2, 0];
    module(1, &body(&step.repeat(bytes / step.len())))
}

/// A command whose one function is so many blocks deep.
pub(super) fn nested(depth: usize) -> Vec<u8> {
    let mut code = BLOCK.repeat(depth);
    code.extend(vec![END; depth]);
    module(1, &body(&code))
}

/// The same with conditions, each of which the compiler has to follow both ways.
pub(super) fn nested_conditions(depth: usize) -> Vec<u8> {
    let mut code = IF.repeat(depth);
    code.extend(vec![END; depth]);
    module(1, &body(&code))
}

/// A command with so many variables that live through as many loops.
pub(super) fn variables(count: u32) -> Vec<u8> {
    let mut code = Vec::new();
    for number in 0..count {
        code.extend(LOOP);
        code.push(0x20);
        code.extend(leb(number));
        code.extend([0x41, 1, 0x6a, 0x21]);
        code.extend(leb(number.wrapping_mul(7) % count));
        code.extend([0x41, 0, 0x0d, 0, END]);
    }
    let mut function = vec![1];
    function.extend(leb(count));
    function.push(0x7f);
    function.extend(code);
    function.push(END);
    module(1, &function)
}

/// A command that jumps to so many places in one instruction.
pub(super) fn jumps(targets: u32) -> Vec<u8> {
    let mut code = Vec::from(BLOCK);
    code.extend([0x41, 0, 0x0e]);
    code.extend(leb(targets));
    code.extend(vec![0; targets as usize + 1]);
    code.push(END);
    module(1, &body(&code))
}

/// A component in a component and so on.
pub(super) fn nested_components(depth: usize) -> Vec<u8> {
    const PREAMBLE: &[u8] = b"\0asm\x0d\0\x01\0";
    let mut component = PREAMBLE.to_vec();
    for _ in 0..depth {
        let mut outer = PREAMBLE.to_vec();
        outer.extend(section(4, &component));
        component = outer;
    }
    component
}

/// Code without variables of its own.
fn body(code: &[u8]) -> Vec<u8> {
    let mut function = vec![0];
    function.extend(code);
    function.push(END);
    function
}

/// A command with `_start` and a memory, made of one function so many times.
fn module(count: u32, function: &[u8]) -> Vec<u8> {
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    module.extend(section(1, &[1, 0x60, 0, 0]));
    let mut types = leb(count);
    types.extend(vec![0; count as usize]);
    module.extend(section(3, &types));
    module.extend(section(5, &[1, 0, 1]));
    module.extend(section(7, b"\x02\x06_start\0\0\x06memory\x02\0"));
    let mut code = leb(count);
    let size = leb(u32::try_from(function.len()).unwrap());
    for _ in 0..count {
        code.extend(&size);
        code.extend(function);
    }
    module.extend(section(10, &code));
    module
}

fn section(number: u8, content: &[u8]) -> Vec<u8> {
    let mut section = vec![number];
    section.extend(leb(u32::try_from(content.len()).unwrap()));
    section.extend(content);
    section
}

/// A number as the format has it: seven bits a byte, the lowest first.
fn leb(mut number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).unwrap();
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}
