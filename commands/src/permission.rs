//! Commands about permissions (behaviour.md 1.7).

use crate::command::Decide;
use crate::decide::keeps_an_administrator;
use crate::draft::Draft;
use crate::lookup;
use crate::refusal::{Refusal, RefusalCode};
use crate::wire::{GroupRef, Word};
use serde::Deserialize;
use switchbook_core::envelope::Subject;
use switchbook_core::exchange::Exchange;
use switchbook_core::group::GroupKind;
use switchbook_core::permission::{Grant, Permission, PermissionGranted, PermissionWithdrawn};

/// Grants a right to a user group, on a target group if the right has one. It counts from the next command (RO-9).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantRight {
    /// The user group.
    pub group: GroupRef,
    /// The right.
    pub permission: Word<Permission>,
    /// The target group.
    #[serde(default)]
    pub on: Option<GroupRef>,
}

/// Withdraws a right. Who is logged in stays so (RO-8).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Withdraw {
    /// The user group.
    pub group: GroupRef,
    /// The right.
    pub permission: Word<Permission>,
    /// The target group.
    #[serde(default)]
    pub on: Option<GroupRef>,
}

fn triple(
    exchange: &Exchange,
    group: &GroupRef,
    permission: Permission,
    on: Option<&GroupRef>,
) -> Result<Grant, Refusal> {
    let subject = lookup::group(exchange, group)?;
    let kind = lookup::group_state(exchange, subject)?.kind;
    if kind != GroupKind::User {
        return Err(Refusal::new(RefusalCode::GroupKindMismatch)
            .with("group", group)
            .with("kind", kind.word())
            .with("needs", GroupKind::User.word()));
    }
    let target = on.map(|on| lookup::group(exchange, on)).transpose()?;
    let found = target.map(|id| lookup::group_state(exchange, id).map(|g| g.kind)).transpose()?;
    if found != permission.target_kind() {
        let how = permission
            .target_kind()
            .map_or("without `on`".into(), |kind| format!("`on` a {} group", kind.word()));
        return Err(Refusal::new(RefusalCode::PermissionTarget)
            .with("permission", permission)
            .with("how", how));
    }
    Ok(Grant { subject, permission, target })
}

impl Decide for GrantRight {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let exchange = draft.exchange();
        let grant = triple(exchange, &self.group, self.permission.0, self.on.as_ref())?;
        if !exchange.permissions.contains_key(&grant) {
            draft.tell_last(PermissionGranted { grant });
        }
        Ok(())
    }
}

impl Decide for Withdraw {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let before = draft.exchange().clone();
        let grant = triple(&before, &self.group, self.permission.0, self.on.as_ref())?;
        if !before.permissions.contains_key(&grant) {
            return Err(Refusal::new(RefusalCode::GrantUnknown)
                .with("group", &self.group)
                .with("permission", self.permission.0));
        }
        draft.tell(PermissionWithdrawn { grant });
        if grant.permission == Permission::Admin {
            keeps_an_administrator(&before, draft)
                .map_err(|refusal| refusal.about(Subject::Group(grant.subject)))?;
        }
        Ok(())
    }
}
