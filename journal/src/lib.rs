//! Switchbook: the room `journal` (see ARCHITECTURE.md).
