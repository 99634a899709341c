//! Switchbook: the room `sip-adapter` (see ARCHITECTURE.md).
