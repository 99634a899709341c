//! Switchbook: the room `commands` (see ARCHITECTURE.md).
