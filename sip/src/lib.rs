//! Switchbook: the room `sip` (see ARCHITECTURE.md).
