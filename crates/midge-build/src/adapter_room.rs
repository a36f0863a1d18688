//! Memory for the preview 1 adapter inside a module whose runtime believes that all memory is its
//! own.
//!
//! Go's runtime calls preview 1 before it can allocate, and takes the pages that it grows for
//! consecutive: an adapter that grew the memory itself would have its pages overwritten. So such a
//! module sets room aside and says where, by a mark in its data; here it gets an allocator for that
//! room, under the name that the encoder looks for.
//!
//! ```text
//! "midge:adapter p1"   address, u64 little-endian   length in bytes, u64 little-endian
//! ```
//!
//! **Invariant:** the allocator hands out nothing but that room, and traps when it is used up.

use wasm_encoder::reencode::{Error, Reencode, RoundtripReencoder, utils};
use wasm_encoder::{
    CodeSection, ConstExpr, ExportKind, ExportSection, Function, FunctionSection, GlobalSection,
    GlobalType, Module, TypeSection, ValType,
};
use wasmparser::{
    CodeSectionReader, DataKind, ExportSectionReader, FunctionSectionReader, GlobalSectionReader,
    Operator, Parser, Payload, TypeRef, TypeSectionReader,
};

/// What stands before the address.
const MARK: &[u8; 16] = b"midge:adapter p1";
/// The encoder takes an export of this name for the adapter's allocator.
const ALLOCATOR: &str = "cabi_realloc_adapter";
/// The most of a module's memory that is looked through.
const IMAGE_BYTES_MAX: usize = 256 << 20;

/// The room that a module set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    start: u32,
    bytes: u32,
}

impl Room {
    /// The room that `module` says it set aside.
    pub(crate) fn of(module: &[u8]) -> Option<Self> {
        let image = image(module)?;
        let mark = image.windows(MARK.len()).position(|found| found == MARK)?;
        let number = |at: usize| -> Option<u32> {
            // Zeros at the end are in no segment.
            let bytes = [0, 1, 2, 3, 4, 5, 6, 7].map(|i| image.get(at + i).copied().unwrap_or(0));
            u64::from_le_bytes(bytes).try_into().ok()
        };
        let start = number(mark + MARK.len())?;
        let bytes = number(mark + MARK.len() + 8)?;
        start.checked_add(bytes)?;
        Some(Self { start, bytes })
    }

    /// The module with an allocator for this room; `None` where it could not be read.
    pub(crate) fn allocate_in(self, module: &[u8]) -> Option<Vec<u8>> {
        let mut with = WithAllocator {
            room: self,
            types: 0,
            functions: imported_functions(module)?,
            globals: imported_globals(module)?,
        };
        let mut out = Module::new();
        with.parse_core_module(&mut out, Parser::new(0), module)
            .ok()?;
        Some(out.finish())
    }
}

/// Copies a module and adds a type, a function, a global and an export to it. Sections come in the
/// order of the specification, so each index is known when it is needed.
struct WithAllocator {
    room: Room,
    /// The index of the allocator's type, once types were read.
    types: u32,
    /// Of the allocator.
    functions: u32,
    /// Of the next free address.
    globals: u32,
}

type Done = Result<(), Error<std::convert::Infallible>>;

impl Reencode for WithAllocator {
    type Error = std::convert::Infallible;

    fn parse_type_section(
        &mut self,
        types: &mut TypeSection,
        section: TypeSectionReader<'_>,
    ) -> Done {
        utils::parse_type_section(&mut RoundtripReencoder, types, section)?;
        self.types = types.len();
        types.ty().function([ValType::I32; 4], [ValType::I32]);
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Done {
        utils::parse_function_section(&mut RoundtripReencoder, functions, section)?;
        self.functions += functions.len();
        functions.function(self.types);
        Ok(())
    }

    fn parse_global_section(
        &mut self,
        globals: &mut GlobalSection,
        section: GlobalSectionReader<'_>,
    ) -> Done {
        utils::parse_global_section(&mut RoundtripReencoder, globals, section)?;
        self.globals += globals.len();
        let next = GlobalType {
            val_type: ValType::I32,
            mutable: true,
            shared: false,
        };
        globals.global(next, &ConstExpr::i32_const(self.room.start.cast_signed()));
        Ok(())
    }

    fn parse_export_section(
        &mut self,
        exports: &mut ExportSection,
        section: ExportSectionReader<'_>,
    ) -> Done {
        utils::parse_export_section(&mut RoundtripReencoder, exports, section)?;
        exports.export(ALLOCATOR, ExportKind::Func, self.functions);
        Ok(())
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: CodeSectionReader<'_>,
    ) -> Done {
        utils::parse_code_section(&mut RoundtripReencoder, code, section)?;
        code.function(&self.allocator());
        Ok(())
    }
}

impl WithAllocator {
    /// `(old, old-size, align, size) -> address`: the next aligned address, or a trap.
    fn allocator(&self) -> Function {
        const ALIGN: u32 = 2;
        const SIZE: u32 = 3;
        const FOUND: u32 = 4;
        let end = self.room.start + self.room.bytes;
        let mut function = Function::new([(1, ValType::I32)]);
        function
            .instructions()
            // found = (next + align - 1) & -align
            .global_get(self.globals)
            .local_get(ALIGN)
            .i32_add()
            .i32_const(1)
            .i32_sub()
            .i32_const(0)
            .local_get(ALIGN)
            .i32_sub()
            .i32_and()
            .local_tee(FOUND)
            // if found > end or size > end - found: trap
            .i32_const(end.cast_signed())
            .i32_gt_u()
            .local_get(SIZE)
            .i32_const(end.cast_signed())
            .local_get(FOUND)
            .i32_sub()
            .i32_gt_u()
            .i32_or()
            .if_(wasm_encoder::BlockType::Empty)
            .unreachable()
            .end()
            // next = found + size
            .local_get(FOUND)
            .local_get(SIZE)
            .i32_add()
            .global_set(self.globals)
            .local_get(FOUND)
            .end();
        function
    }
}

fn imported_functions(module: &[u8]) -> Option<u32> {
    imported(module, |kind| matches!(kind, TypeRef::Func(_)))
}

fn imported_globals(module: &[u8]) -> Option<u32> {
    imported(module, |kind| matches!(kind, TypeRef::Global(_)))
}

fn imported(module: &[u8], is_counted: impl Fn(&TypeRef) -> bool) -> Option<u32> {
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::ImportSection(imports) = payload.ok()? {
            let imports = imports.into_imports();
            let counted =
                imports.filter(|import| import.as_ref().is_ok_and(|import| is_counted(&import.ty)));
            return counted.count().try_into().ok();
        }
    }
    Some(0)
}

/// The memory as the module's data makes it: linkers cut a text in two where it has zeros.
fn image(module: &[u8]) -> Option<Vec<u8>> {
    let mut image = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        let Payload::DataSection(segments) = payload.ok()? else {
            continue;
        };
        for segment in segments {
            let segment = segment.ok()?;
            let DataKind::Active { offset_expr, .. } = &segment.kind else {
                continue;
            };
            let Ok(Operator::I32Const { value }) = offset_expr.get_operators_reader().read() else {
                continue;
            };
            let start = usize::try_from(value.cast_unsigned()).ok()?;
            let end = start.checked_add(segment.data.len())?;
            if end > IMAGE_BYTES_MAX {
                continue;
            }
            if end > image.len() {
                image.resize(end, 0);
            }
            image[start..end].copy_from_slice(segment.data);
        }
    }
    Some(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module that set `bytes` aside at 4096, and says so at 64 in two segments.
    fn module(bytes: u8) -> Vec<u8> {
        let text = format!(
            r#"(module
                (import "env" "f" (func (param i64)))
                (memory (export "memory") 1)
                (global i32 (i32.const 7))
                (func (export "own") (result i32) i32.const 7)
                (data (i32.const 64) "midge:adapter p1\00\10")
                (data (i32.const 88) "\{bytes:02x}\00"))"#
        );
        wat::parse_str(text).unwrap()
    }

    #[test]
    fn the_room_is_found_though_its_mark_is_cut() {
        let room = Room {
            start: 4096,
            bytes: 32,
        };
        assert_eq!(Room::of(&module(32)), Some(room));
        assert_eq!(Room::of(&wat::parse_str("(module)").unwrap()), None);
        assert_eq!(Room::of(b"nothing"), None);
    }

    #[test]
    fn the_module_stays_valid_and_has_the_allocator() {
        let plain = module(32);
        let with = Room::of(&plain).unwrap().allocate_in(&plain).unwrap();
        wasmparser::validate(&with).unwrap();
        let text = wasmprinter::print_bytes(&with).unwrap();
        assert!(
            text.contains(r#"(export "cabi_realloc_adapter" (func 2))"#),
            "{text}"
        );
        assert!(
            text.contains("(global (;1;) (mut i32) i32.const 4096)"),
            "{text}"
        );
    }
}
