"""The kernel: WebAssembly that decodes pyramids, built from the folder kernel/ of the repository, run by wasmtime."""
