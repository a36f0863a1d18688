//! What is in the interfaces that a component imports, told from its types.
//!
//! A type in a component may have types in it, each level three bytes long, and a reader that calls
//! itself for each runs out of stack on a file of some kilobytes. So levels are counted here before
//! anybody else reads types.
//!
//! **Invariant:** the stack does not grow with the file, and no more than [`ITEMS_MAX`] names are held;
//! depends on nothing of the engine, so that it can be fuzzed without one.

use std::collections::BTreeMap;

use wasmparser::{
    BinaryReader, ComponentAlias, ComponentExport, ComponentExternalKind, ComponentImport,
    ComponentOuterAliasKind, ComponentType, ComponentTypeRef, InstanceTypeDeclaration,
};

/// Types within types. Compilers write three levels: an interface, in a world, in a package.
pub(crate) const TYPE_DEPTH_MAX: usize = 100;

/// Types of the outermost layer whose places are followed. All of WASI has some hundred.
const TYPES_MAX: u32 = 100_000;

/// Items of interfaces that are kept. They make messages better, and decide nothing.
const ITEMS_MAX: usize = 100_000;

/// What begins a type that has declarations in it.
const COMPONENT_TYPE: u8 = 0x41;
const INSTANCE_TYPE: u8 = 0x42;

/// What begins a declaration of a type, and one of an import.
const DECLARED_TYPE: u8 = 0x01;
const DECLARED_IMPORT: u8 = 0x03;

/// The types of the outermost layer, as far as they are interfaces.
#[derive(Debug)]
pub(crate) struct Interfaces<'a> {
    types: u32,
    items: BTreeMap<u32, Vec<&'a str>>,
    items_left: usize,
}

impl Default for Interfaces<'_> {
    fn default() -> Self {
        Self {
            types: 0,
            items: BTreeMap::new(),
            items_left: ITEMS_MAX,
        }
    }
}

/// A type that has more levels than [`TYPE_DEPTH_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooDeep;

/// Declarations of one type that are still to be read.
struct Declarations {
    left: u32,
    of_component: bool,
}

impl<'a> Interfaces<'a> {
    /// Reads the types of a section of the outermost layer.
    ///
    /// # Errors
    ///
    /// [`TYPE_DEPTH_MAX`].
    pub(crate) fn add_types(&mut self, section: BinaryReader<'a>) -> Result<(), TooDeep> {
        each_type(section, |mut items| {
            items.truncate(self.items_left);
            if !items.is_empty() && self.types < TYPES_MAX {
                self.items_left -= items.len();
                self.items.insert(self.types, items);
            }
            self.types = self.types.saturating_add(1);
        })
    }

    /// An import, which may be one of a type.
    pub(crate) fn add_import(&mut self, import: &ComponentImport<'a>) {
        if matches!(import.ty, ComponentTypeRef::Type(_)) {
            self.types = self.types.saturating_add(1);
        }
    }

    /// An alias, which may be one of a type.
    pub(crate) fn add_alias(&mut self, alias: &ComponentAlias<'a>) {
        let is_type = match alias {
            ComponentAlias::InstanceExport { kind, .. } => *kind == ComponentExternalKind::Type,
            ComponentAlias::Outer { kind, .. } => *kind == ComponentOuterAliasKind::Type,
            ComponentAlias::CoreInstanceExport { .. } => false,
        };
        if is_type {
            self.types = self.types.saturating_add(1);
        }
    }

    /// An export: of a type it makes another one.
    pub(crate) fn add_export(&mut self, export: &ComponentExport<'a>) {
        if export.kind == ComponentExternalKind::Type {
            self.types = self.types.saturating_add(1);
        }
    }

    /// The functions and other items of the interface that is imported so. None where its type is
    /// not found: then nobody knows them before it is compiled.
    pub(crate) fn items(&self, import: ComponentTypeRef) -> &[&'a str] {
        let ComponentTypeRef::Instance(at) = import else {
            return &[];
        };
        self.items.get(&at).map_or(&[], Vec::as_slice)
    }
}

/// Sees that types of a section that is not of the outermost layer can be read by others.
///
/// # Errors
///
/// [`TYPE_DEPTH_MAX`].
pub(crate) fn check_depth(section: BinaryReader<'_>) -> Result<(), TooDeep> {
    each_type(section, |_| {})
}

/// Gives for each type of a section the items of the interface that it is; none of what is another.
///
/// What is damaged ends the section early: the compiler says where and why.
fn each_type<'a>(
    mut section: BinaryReader<'a>,
    mut give: impl FnMut(Vec<&'a str>),
) -> Result<(), TooDeep> {
    let Ok(count) = section.read_var_u32() else {
        return Ok(());
    };
    for _ in 0..count {
        match read_type(&mut section) {
            Ok(items) => give(items?),
            Err(_damaged) => break,
        }
    }
    Ok(())
}

/// Reads one type with all that is in it, and gives its items if it is an interface. The outer
/// result is what the parser says.
fn read_type<'a>(
    reader: &mut BinaryReader<'a>,
) -> wasmparser::Result<Result<Vec<&'a str>, TooDeep>> {
    let mut items = Vec::new();
    let mut open = Vec::new();
    open.extend(begin(reader)?);
    while let Some(innermost) = open.last_mut() {
        if innermost.left == 0 {
            open.pop();
            continue;
        }
        innermost.left -= 1;
        let of_component = innermost.of_component;
        match peek(reader)? {
            DECLARED_TYPE => {
                reader.read_u8()?;
                open.extend(begin(reader)?);
                if open.len() > TYPE_DEPTH_MAX {
                    return Ok(Err(TooDeep));
                }
            }
            DECLARED_IMPORT if of_component => {
                reader.read_u8()?;
                reader.read::<ComponentImport<'_>>()?;
            }
            _ => {
                if let InstanceTypeDeclaration::Export { name, ty } = reader.read()?
                    // A type is a name for a shape; a resource shows in its methods.
                    && !matches!(ty, ComponentTypeRef::Type(_))
                    && (open.len(), of_component) == (1, false)
                    && items.len() < ITEMS_MAX
                {
                    items.push(name.name);
                }
            }
        }
    }
    Ok(Ok(items))
}

/// Reads a type, or the head of one that has declarations: these are still to be read.
fn begin(reader: &mut BinaryReader<'_>) -> wasmparser::Result<Option<Declarations>> {
    let kind = peek(reader)?;
    if kind != COMPONENT_TYPE && kind != INSTANCE_TYPE {
        // All others are flat.
        drop(reader.read::<ComponentType<'_>>()?);
        return Ok(None);
    }
    reader.read_u8()?;
    Ok(Some(Declarations {
        left: reader.read_var_u32()?,
        of_component: kind == COMPONENT_TYPE,
    }))
}

fn peek(reader: &BinaryReader<'_>) -> wasmparser::Result<u8> {
    reader.clone().read_u8()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;
    use wasmparser::component_types::ComponentEntityType;
    use wasmparser::{Validator, WasmFeatures};

    use super::*;
    use crate::outline::{Outline, OutlineError, imports_only};

    /// A component with one type: so many interfaces, each in the one before.
    fn nested(kind: u8, levels: usize) -> Vec<u8> {
        let mut types = vec![1];
        types.extend([kind, 1, DECLARED_TYPE].repeat(levels - 1));
        types.extend([kind, 0]);
        section(7, &types)
    }

    /// A component with this section.
    fn section(number: u8, contents: &[u8]) -> Vec<u8> {
        let mut component = b"\0asm\x0d\0\x01\0".to_vec();
        component.push(number);
        let mut left = contents.len();
        loop {
            let low = u8::try_from(left & 0x7f).unwrap();
            left >>= 7;
            component.push(if left == 0 { low } else { low | 0x80 });
            if left == 0 {
                break;
            }
        }
        component.extend_from_slice(contents);
        component
    }

    fn excess(component: &[u8]) -> Option<String> {
        match Outline::read(component) {
            Ok(_) => None,
            Err(OutlineError::Excessive(what)) => Some(what),
            Err(OutlineError::Malformed(error)) => panic!("{error}"),
        }
    }

    #[test]
    fn types_nest_so_far_and_no_further() {
        for kind in [COMPONENT_TYPE, INSTANCE_TYPE] {
            assert_eq!(excess(&nested(kind, TYPE_DEPTH_MAX)), None);
            for levels in [TYPE_DEPTH_MAX + 1, 1_000_000] {
                let deep = nested(kind, levels);
                let what = "its types nest deeper than 100 levels";
                assert_eq!(excess(&deep).as_deref(), Some(what));
                // Within a component that is within another.
                assert_eq!(excess(&section(4, &deep)).as_deref(), Some(what));
            }
        }
    }

    /// Those of each committed guest, as the parser's own validator has them.
    #[test]
    fn items_are_those_that_the_types_declare() {
        let mut interfaces = 0;
        let fixtures = midge_testkit::fixture("http02-tiny.wasm");
        for entry in fs::read_dir(fixtures.parent().unwrap()).unwrap() {
            let guest = entry.unwrap().path();
            let component = fs::read(&guest).unwrap();
            let Ok(outline) = Outline::read(&component) else {
                continue;
            };
            let mut validator = Validator::new_with_features(WasmFeatures::all());
            let beginning = imports_only(&component).unwrap();
            let Some(types) = outline
                .is_component
                .then(|| validator.validate_all(beginning))
            else {
                continue;
            };
            let types = types.unwrap();
            let types = types.as_ref();
            for (name, items) in &outline.imports {
                // One that stands further back is not in the beginning.
                let Some(import) = types.component_item_for_import(name) else {
                    continue;
                };
                if let ComponentEntityType::Instance(instance) = import.ty {
                    let exports = types[instance].exports.iter();
                    let wanted: Vec<_> = exports
                        .filter(|(_, item)| !matches!(item.ty, ComponentEntityType::Type { .. }))
                        .map(|(name, _)| name.clone())
                        .collect();
                    assert_eq!(items.len(), wanted.len(), "{name} of {}", guest.display());
                    assert!(wanted.iter().all(|item| items.contains(item)), "{name}");
                    interfaces += 1;
                }
            }
        }
        assert!(interfaces > 100, "{interfaces}");
    }

    /// A name of 45 kB in an interface that is imported 990 times.
    #[test]
    fn a_name_that_is_repeated_is_not_kept_for_ever() {
        let mut text = "(component (type $t (instance ".to_owned();
        text += &format!("(export \"{}\" (func))))", "a".repeat(45_000));
        for number in 0..990 {
            text += &format!("(import \"a:b/c{number}\" (instance (type $t)))");
        }
        let component = wat::parse_str(text + ")").unwrap();
        assert!(component.len() < 100_000);
        let what = excess(&component);
        assert_eq!(what.as_deref(), Some("its names take more than 16MiB"));
    }

    proptest! {
        #[test]
        fn never_panics(types in prop::collection::vec(prop_oneof![
            Just(COMPONENT_TYPE), Just(INSTANCE_TYPE), 0_u8..8, any::<u8>()
        ], 0..200)) {
            drop(Outline::read(&section(7, &types)));
        }
    }
}
