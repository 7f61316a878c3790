//! The world `shardwright:coordinator/coordinator-adapter@0.1.0`, as Wasmtime speaks it.

wasmtime::component::bindgen!({
    path: "../../wit/coordinator/0.1.0",
    world: "coordinator-adapter",
    exports: { default: async },
});
