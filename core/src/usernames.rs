//! Log-in names and whose they are. Names are sealed, and each must be opened to be found; so this index is made when
//! somebody asks for a name, and a look at the past that asks for none opens none.

use crate::exchange::Table;
use crate::id::UserId;
use crate::user::User;
use imbl::OrdMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Log-in name → user. Says nothing that the users do not say, so any two are equal.
#[derive(Clone)]
pub struct Usernames(OnceLock<OrdMap<Arc<str>, UserId>>);

/// Of no users.
impl Default for Usernames {
    fn default() -> Self {
        Self(OnceLock::from(OrdMap::new()))
    }
}

impl PartialEq for Usernames {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for Usernames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Usernames(…)")
    }
}

impl Usernames {
    /// Not made yet, as behind a snapshot.
    #[must_use]
    pub const fn unmade() -> Self {
        Self(OnceLock::new())
    }

    /// Of these users, as far as their names can be read.
    #[must_use]
    pub fn of(users: &Table<UserId, User>) -> Self {
        Self(OnceLock::from(collect(users)))
    }

    /// Whose name it is; `users` are those that this is the index of.
    #[must_use]
    pub fn get(&self, name: &str, users: &Table<UserId, User>) -> Option<UserId> {
        self.0.get_or_init(|| collect(users)).get(name).copied()
    }

    /// A name was given. Asks for it only if the index is made.
    pub(crate) fn insert<'a>(&mut self, name: impl FnOnce() -> Option<&'a str>, user: UserId) {
        if let Some(made) = self.0.get_mut()
            && let Some(name) = name()
        {
            made.insert(name.into(), user);
        }
    }

    /// A name is free again. Asks for it only if the index is made.
    pub(crate) fn remove<'a>(&mut self, name: impl FnOnce() -> Option<&'a str>) {
        if let Some(made) = self.0.get_mut()
            && let Some(name) = name()
        {
            made.remove(name);
        }
    }

    /// The name of this user cannot be read any more.
    pub(crate) fn forget(&mut self, user: UserId) {
        let Some(made) = self.0.get_mut() else { return };
        let named = made.iter().find(|(_, named)| **named == user);
        if let Some(name) = named.map(|(name, _)| Arc::clone(name)) {
            made.remove(&name);
        }
    }
}

fn collect(users: &Table<UserId, User>) -> OrdMap<Arc<str>, UserId> {
    let named =
        |(id, user): (&UserId, &Arc<User>)| Some((Arc::from(user.username.value.known()?), *id));
    users.iter().filter_map(named).collect()
}
