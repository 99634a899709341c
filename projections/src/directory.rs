//! `directory`: what administrators look at. Users with their matrix, devices, groups, permissions, forwardings of
//! all users (F-12), follow-me; every field with the event that set it (architecture.md way 8).
//!
//! Views of the exchange: as of any position they cost a fold and nothing more.

mod devices;
mod forwardings;
mod groups;
mod settings;
mod users;

pub use devices::{DeviceRow, DevicesView, devices};
pub use forwardings::{
    FollowMeRow, FollowMeView, ForwardingRow, ForwardingsView, ProfileRow, ProfilesView, follow_me,
    forwardings, profiles,
};
pub use groups::{
    GroupRow, GroupsView, PermissionRow, PermissionsView, groups, permissions, rights_of,
};
pub use settings::{SettingsView, TrunkRow, TrunksView, settings, trunks};
pub use users::{Matrix, MatrixRow, SlotRow, UserDetail, UserRow, UsersView, matrix, user, users};
