//! Switchbook: the room `replay` (see ARCHITECTURE.md).
