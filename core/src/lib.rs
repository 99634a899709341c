//! Switchbook: the room `core` (see ARCHITECTURE.md).
