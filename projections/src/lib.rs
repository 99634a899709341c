//! Switchbook: the room `projections` (see ARCHITECTURE.md).
