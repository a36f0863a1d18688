//! That memories lie where they are looked for.

use crate::engine::{Allocation, Engine, SandboxConfig, Tasks};

use super::*;

/// As many instances are made in each pool at most.
const MADE_MAX: u32 = 40;

#[test]
fn every_address_is_the_beginning_of_a_memory() {
    for instances_max in [2, 60, 500] {
        let config = SandboxConfig {
            allocation: Allocation::Pooling,
            instances_max,
        };
        // Each thread gets its slots from another part of a large pool.
        for _ in 0..3 {
            let engine = Engine::new(&config).unwrap();
            let thread = std::thread::spawn(move || found_as_used(&engine, instances_max));
            assert_eq!(
                thread.join().unwrap(),
                memories(instances_max).min(MADE_MAX)
            );
        }
    }
}

/// How many memories of many instances are among the used ones.
fn found_as_used(engine: &Engine, instances_max: u32) -> u32 {
    let engine = engine.of(Tasks::One);
    let slots = Slots::find(engine, instances_max, &Pages::open().unwrap()).unwrap();
    let module = Module::new(engine, PROBE).unwrap();
    let mut store = Store::new(engine, ());
    let mut made = Vec::new();
    for _ in 0..memories(instances_max).min(MADE_MAX) {
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let memory = instance.get_memory(&mut store, "memory").unwrap();
        made.push(memory.data_ptr(&store) as u64);
    }
    let used: Vec<u64> = slots.used().collect();
    let found = made.iter().filter(|start| used.contains(start)).count();
    u32::try_from(found).unwrap()
}

#[test]
fn slots_are_sure_however_the_pool_is_divided() {
    assert_eq!(sure(2), 2);
    assert_eq!(sure(127), 127);
    // 1,000 instances with two memories each, as a node has them: 15 parts of 134, and a rest.
    assert_eq!(sure(2000), 124);
}
