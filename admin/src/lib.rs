//! Switchbook: the room `admin` (see ARCHITECTURE.md).
