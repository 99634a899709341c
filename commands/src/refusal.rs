//! Refusals: why a command was not carried out, as a value.
//!
//! Every refusal has a stable code, a sentence in English and German that says what happened, what it means and what
//! to do, and the facts behind it. Only the adapters know what a refusal is on the wire.

use std::collections::BTreeMap;
use std::fmt;
use switchbook_core::envelope::Subject;
use switchbook_core::user::Language;

/// Why a refusal counts for auditors (X-21).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Nature {
    /// The command was not well formed, or named something that does not exist: not recorded.
    Form,
    /// Somebody authenticated tried what he may not, or what the state forbids: recorded as `AttemptRefused`.
    Attempt,
    /// The server could not: nobody's fault, not recorded.
    Server,
}

macro_rules! codes {
    ($($name:ident $code:literal $nature:ident $english:literal $german:literal;)+) => {
        /// The stable codes. A code is never reused for something else.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum RefusalCode {
            $(#[doc = concat!("`", $code, "`: ", $english)] $name,)+
        }

        impl RefusalCode {
            /// All of them, in the order of the manual.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The code as it stands in answers and in the book.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }

            /// Is an attempt refused with it an event (X-21)?
            #[must_use]
            pub const fn nature(self) -> Nature {
                match self { $(Self::$name => Nature::$nature),+ }
            }

            /// The sentence with `{facts}` still in braces.
            #[must_use]
            pub const fn template(self, language: Language) -> &'static str {
                match (self, language) {
                    $((Self::$name, Language::English) => $english,
                    (Self::$name, Language::German) => $german,)+
                }
            }
        }
    };
}

codes! {
    Forbidden "FORBIDDEN" Attempt
        "{who} may not do {command}: the right for it is missing. Nothing was changed; ask an administrator."
        "{who} darf {command} nicht ausführen: Das Recht dazu fehlt. Nichts wurde geändert; wenden Sie sich an einen Administrator.";
    Stale "STALE" Form
        "{what} was changed by somebody else since you looked at it. Nothing was changed; look again and repeat."
        "{what} wurde inzwischen von jemand anderem geändert. Nichts wurde geändert; sehen Sie erneut nach und wiederholen Sie die Änderung.";
    NotFounded "NOT_FOUNDED" Server
        "The exchange has not been founded yet. Start the server once, then repeat."
        "Die Anlage ist noch nicht eingerichtet. Starten Sie den Server einmal und wiederholen Sie den Befehl.";
    AlreadyFounded "ALREADY_FOUNDED" Form
        "The exchange was founded before; its realm is fixed for ever."
        "Die Anlage wurde bereits eingerichtet; ihr Bereich (realm) steht für immer fest.";
    CommandTooOld "COMMAND_TOO_OLD" Form
        "The command's id is older than 24 hours, so a repetition could not be told from a new command. Send it with a new id."
        "Die Kennung des Befehls ist älter als 24 Stunden, eine Wiederholung wäre nicht von einem neuen Befehl zu unterscheiden. Senden Sie ihn mit neuer Kennung.";
    CommandIdInvalid "COMMAND_ID_INVALID" Form
        "A command's id has to be a UUID of version 7 with a time that is not in the future, and one that nobody else used. Send it with a new id."
        "Die Kennung eines Befehls muss eine UUID der Version 7 sein, deren Zeit nicht in der Zukunft liegt und die kein anderer verwendet hat. Senden Sie ihn mit neuer Kennung.";
    ValueInvalid "VALUE_INVALID" Form
        "{field} is not usable: {why}. Correct it and repeat."
        "{field} ist nicht verwendbar: {why}. Bitte berichtigen und wiederholen.";

    UserUnknown "USER_UNKNOWN" Form
        "There is no user `{user}`. Check the name; `user list` shows all."
        "Es gibt keinen Benutzer „{user}“. Prüfen Sie den Namen; `user list` zeigt alle.";
    NumberUnknown "NUMBER_UNKNOWN" Form
        "The number {number} belongs to nobody here. Give it to a user first."
        "Die Rufnummer {number} gehört hier niemandem. Weisen Sie sie zuerst einem Benutzer zu.";
    SlotUnknown "SLOT_UNKNOWN" Form
        "There is no slot `{slot}`. Write it as user/slot, for example ada/desk."
        "Es gibt keinen Slot „{slot}“. Schreiben Sie ihn als Benutzer/Slot, zum Beispiel ada/desk.";
    DeviceUnknown "DEVICE_UNKNOWN" Form
        "There is no device `{device}`. Check the name it registers as."
        "Es gibt kein Telefon „{device}“. Prüfen Sie den Namen, unter dem es sich anmeldet.";
    GroupUnknown "GROUP_UNKNOWN" Form
        "There is no group `{group}`. Check its internal name."
        "Es gibt keine Gruppe „{group}“. Prüfen Sie ihren internen Namen.";
    ProfileUnknown "PROFILE_UNKNOWN" Form
        "There is no forwarding profile `{profile}`. Write it as user/profile, for example ada/holiday."
        "Es gibt kein Rufumleitungsprofil „{profile}“. Schreiben Sie es als Benutzer/Profil, zum Beispiel ada/Urlaub.";
    ScheduleUnknown "SCHEDULE_UNKNOWN" Form
        "There is no schedule entry `{schedule}`. It may have been removed."
        "Es gibt keinen Zeitplaneintrag „{schedule}“. Vielleicht wurde er entfernt.";
    TrunkUnknown "TRUNK_UNKNOWN" Form
        "There is no trunk `{trunk}`. Check the name."
        "Es gibt kein Amt „{trunk}“. Prüfen Sie den Namen.";
    GrantUnknown "GRANT_UNKNOWN" Form
        "Group {group} does not hold {permission} there, so there is nothing to withdraw."
        "Die Gruppe {group} hat das Recht {permission} dort nicht, es gibt nichts zu entziehen.";
    DialledUnknown "DIALLED_UNKNOWN" Form
        "Trunk {trunk} has no rule for {dialled}. Check the digits as the network sends them."
        "Das Amt {trunk} hat keine Regel für {dialled}. Prüfen Sie die Ziffern, wie das Netz sie sendet.";
    BlockUnknown "BLOCK_UNKNOWN" Form
        "{prefix} is not blocked as a forwarding target, so there is nothing to lift."
        "{prefix} ist als Umleitungsziel nicht gesperrt, es gibt nichts aufzuheben.";

    UsernameInvalid "USERNAME_INVALID" Form
        "`{username}` cannot be a log-in name: it begins with a lower-case letter and goes on with lower-case letters, digits, dot, hyphen or underscore, 64 at most."
        "„{username}“ kann kein Anmeldename sein: Er beginnt mit einem Kleinbuchstaben und besteht aus Kleinbuchstaben, Ziffern, Punkt, Bindestrich oder Unterstrich, höchstens 64.";
    UsernameTaken "USERNAME_TAKEN" Form
        "The log-in name `{username}` is taken. Choose another."
        "Der Anmeldename „{username}“ ist vergeben. Wählen Sie einen anderen.";
    PasswordTooShort "PASSWORD_TOO_SHORT" Form
        "The password has fewer than 8 characters. Choose a longer one."
        "Das Kennwort hat weniger als 8 Zeichen. Wählen Sie ein längeres.";
    PinTooShort "PIN_TOO_SHORT" Form
        "The PIN has fewer than 4 digits. Choose a longer one."
        "Die PIN hat weniger als 4 Ziffern. Wählen Sie eine längere.";
    PinNotNumeric "PIN_NOT_NUMERIC" Form
        "The PIN holds something that is not a digit, and could not be typed at a phone. Use digits only."
        "Die PIN enthält etwas anderes als Ziffern und ließe sich am Telefon nicht eingeben. Verwenden Sie nur Ziffern.";
    LastAdmin "LAST_ADMIN" Attempt
        "This would leave no administrator, and nobody could administer the exchange any more. Make somebody else an administrator first."
        "Danach gäbe es keinen Administrator mehr, und niemand könnte die Anlage verwalten. Ernennen Sie zuerst einen anderen.";
    Referenced "REFERENCED" Attempt
        "{what} is still a target elsewhere: {by}. Those would lead nowhere; repeat with `confirm` if that is meant."
        "{what} ist anderswo noch Ziel: {by}. Diese liefen ins Leere; wiederholen Sie den Befehl mit `confirm`, wenn das gewollt ist.";
    CallerIdNotYours "CALLER_ID_NOT_YOURS" Attempt
        "{number} is not one of this user's numbers, so it cannot be shown to those called. Choose one of his own; an administrator may choose any."
        "{number} ist keine Rufnummer dieses Benutzers und kann daher nicht angezeigt werden. Wählen Sie eine eigene; ein Administrator darf jede wählen.";

    NumberInvalid "NUMBER_INVALID" Form
        "{number} cannot be an internal number: it has 2 to 15 digits, does not begin with 0 and is no emergency number. Choose another."
        "{number} kann keine interne Rufnummer sein: Sie hat 2 bis 15 Ziffern, beginnt nicht mit 0 und ist keine Notrufnummer. Wählen Sie eine andere.";
    NumberTaken "NUMBER_TAKEN" Attempt
        "The number {number} already belongs to {owner}. Free it there first, or choose another."
        "Die Rufnummer {number} gehört bereits {owner}. Geben Sie sie dort zuerst frei oder wählen Sie eine andere.";
    WrongOwner "WRONG_OWNER" Attempt
        "{what} and {other} belong to different users. Only what belongs to one user can be joined."
        "{what} und {other} gehören verschiedenen Benutzern. Nur was einem Benutzer gehört, lässt sich verbinden.";
    NumberNotOnSlot "NUMBER_NOT_ON_SLOT" Attempt
        "The number {number} is not ticked for slot {slot}. Tick it first."
        "Die Rufnummer {number} ist für den Slot {slot} nicht aktiviert. Aktivieren Sie sie zuerst.";
    LastNumberOnSlot "LAST_NUMBER_ON_SLOT" Attempt
        "{number} is the last number on slot {slot}; without it the phone would be logged off, and the right to log off (roaming) is missing. Swap the number for another, or ask an administrator."
        "{number} ist die letzte Rufnummer auf dem Slot {slot}; ohne sie würde das Telefon abgemeldet, und die Abmeldeberechtigung (Roaming) fehlt. Tauschen Sie die Nummer gegen eine andere oder wenden Sie sich an einen Administrator.";
    NoNumberOnSlot "NO_NUMBER_ON_SLOT" Attempt
        "No number is chosen on slot {slot}, so there is none to act on. Tick one, or select one of several."
        "Auf dem Slot {slot} ist keine Rufnummer gewählt, auf die sich das beziehen könnte. Aktivieren Sie eine oder wählen Sie eine von mehreren.";
    SlotNameTaken "SLOT_NAME_TAKEN" Form
        "{user} already has a slot named `{name}`. Choose another name."
        "{user} hat bereits einen Slot „{name}“. Wählen Sie einen anderen Namen.";

    DeviceNameInvalid "DEVICE_NAME_INVALID" Form
        "`{name}` cannot be what a device registers as: 1 to 64 lower-case letters a to z, digits, dot, hyphen or underscore."
        "„{name}“ kann kein Anmeldename eines Telefons sein: 1 bis 64 Kleinbuchstaben a bis z, Ziffern, Punkt, Bindestrich oder Unterstrich.";
    DeviceNameTaken "DEVICE_NAME_TAKEN" Form
        "Another device already registers as `{name}`. Choose another name."
        "Ein anderes Telefon meldet sich bereits als „{name}“ an. Wählen Sie einen anderen Namen.";
    MacInvalid "MAC_INVALID" Form
        "`{mac}` is no hardware address. Write twelve hexadecimal digits, with or without colons."
        "„{mac}“ ist keine Hardware-Adresse. Schreiben Sie zwölf hexadezimale Ziffern, mit oder ohne Doppelpunkte.";
    MacTaken "MAC_TAKEN" Form
        "The hardware address {mac} belongs to device {device}. Remove it there first."
        "Die Hardware-Adresse {mac} gehört zum Telefon {device}. Entfernen Sie sie dort zuerst.";
    SlotOccupied "SLOT_OCCUPIED" Attempt
        "Slot {slot} is in use at phone {device}, and the right to log off there (roaming) is missing. Nothing was changed on either phone; ask an administrator to log that phone off."
        "Der Slot {slot} ist am Telefon {device} belegt, und die Abmeldeberechtigung (Roaming) dort fehlt. An beiden Telefonen wurde nichts geändert; bitten Sie einen Administrator, jenes Telefon abzumelden.";
    RoamingDenied "ROAMING_DENIED" Attempt
        "Logging off at phone {device} needs the right to log off (roaming), which is missing. The phone stays logged in; ask an administrator."
        "Zum Abmelden am Telefon {device} fehlt die Abmeldeberechtigung (Roaming). Das Telefon bleibt angemeldet; wenden Sie sich an einen Administrator.";
    DeviceHeld "DEVICE_HELD" Attempt
        "Somebody is logged in at phone {device} who may not be logged off there. Use another phone, or ask an administrator."
        "Am Telefon {device} ist jemand angemeldet, der dort nicht abgemeldet werden darf. Benutzen Sie ein anderes Telefon oder wenden Sie sich an einen Administrator.";
    InCall "IN_CALL" Attempt
        "A call is in progress on phone {device}, and logging off would touch it. Wait for its end; an administrator may repeat with `force`."
        "Am Telefon {device} läuft ein Gespräch, das vom Abmelden betroffen wäre. Warten Sie sein Ende ab; ein Administrator kann mit `force` wiederholen.";
    LoginFailed "LOGIN_FAILED" Attempt
        "Extension and PIN do not fit together. Try again."
        "Nebenstelle und PIN passen nicht zusammen. Versuchen Sie es noch einmal.";
    LoginLocked "LOGIN_LOCKED" Attempt
        "Too many log-ins failed. Wait {seconds} seconds, then try again."
        "Zu viele Anmeldungen sind fehlgeschlagen. Warten Sie {seconds} Sekunden und versuchen Sie es dann erneut.";
    NobodyLoggedIn "NOBODY_LOGGED_IN" Attempt
        "Nobody is logged in at phone {device}. Log in first."
        "Am Telefon {device} ist niemand angemeldet. Melden Sie sich zuerst an.";
    NoSlotFits "NO_SLOT_FITS" Attempt
        "{user} has no slot for a device of type {type}. An administrator can add one."
        "{user} hat keinen Slot für ein Gerät der Art {type}. Ein Administrator kann einen anlegen.";
    SlotTypeMismatch "SLOT_TYPE_MISMATCH" Attempt
        "Phone {device} is of type {type}, but slot {slot} takes {takes}. Use a slot of the phone's type."
        "Das Telefon {device} ist von der Art {type}, der Slot {slot} nimmt aber {takes}. Verwenden Sie einen passenden Slot.";

    GroupNameInvalid "GROUP_NAME_INVALID" Form
        "`{name}` cannot be a group's internal name: 1 to 64 lower-case letters, digits, dot, hyphen or underscore, beginning with a letter."
        "„{name}“ kann kein interner Gruppenname sein: 1 bis 64 Kleinbuchstaben, Ziffern, Punkt, Bindestrich oder Unterstrich, mit einem Buchstaben am Anfang.";
    GroupNameTaken "GROUP_NAME_TAKEN" Form
        "There is already a group named `{name}`. Choose another name."
        "Es gibt bereits eine Gruppe „{name}“. Wählen Sie einen anderen Namen.";
    GroupBuiltIn "GROUP_BUILT_IN" Attempt
        "Group {group} belongs to the exchange itself: it cannot be removed, and who is in All Users or All Hosts is not chosen by hand."
        "Die Gruppe {group} gehört zur Anlage selbst: Sie lässt sich nicht entfernen, und wer in „Alle Benutzer“ oder „Alle Telefone“ ist, wird nicht von Hand bestimmt.";
    GroupKindMismatch "GROUP_KIND_MISMATCH" Form
        "Group {group} is of kind {kind}, and {needs} is needed here. Choose another group."
        "Die Gruppe {group} ist von der Art {kind}, hier wird {needs} gebraucht. Wählen Sie eine andere Gruppe.";
    PermissionTarget "PERMISSION_TARGET" Form
        "The permission {permission} is granted {how}. Correct the target group and repeat."
        "Das Recht {permission} wird so vergeben: {how}. Berichtigen Sie die Zielgruppe und wiederholen Sie.";

    ProfileNameTaken "PROFILE_NAME_TAKEN" Form
        "{user} already has a forwarding profile named `{name}`. Choose another name."
        "{user} hat bereits ein Rufumleitungsprofil „{name}“. Wählen Sie einen anderen Namen.";
    ProfileInUse "PROFILE_IN_USE" Attempt
        "The profile is set for {by}. Unset it there first, or repeat with `confirm` to unset it everywhere."
        "Das Profil ist eingestellt für {by}. Stellen Sie es dort zuerst ab oder wiederholen Sie mit `confirm`, um es überall abzustellen.";
    ForwardLoop "FORWARD_LOOP" Attempt
        "Calls would go round in a circle: {path}. Change one of these forwardings first."
        "Anrufe liefen im Kreis: {path}. Ändern Sie zuerst eine dieser Umleitungen.";
    TargetBlocked "TARGET_BLOCKED" Attempt
        "{number} may not be a forwarding target: {why}. Choose another target."
        "{number} darf kein Umleitungsziel sein: {why}. Wählen Sie ein anderes Ziel.";
    TargetNotPermitted "TARGET_NOT_PERMITTED" Attempt
        "{number} lies outside, and {user} may not call out (permission outbound). Choose an internal target, or ask an administrator."
        "{number} liegt außerhalb, und {user} darf nicht nach außen telefonieren (Recht outbound). Wählen Sie ein internes Ziel oder wenden Sie sich an einen Administrator.";
    RuleTwice "RULE_TWICE" Form
        "The table has two rules for {condition} from {origin}; only one can hold. Remove one."
        "Die Tabelle hat zwei Regeln für {condition} von {origin}; nur eine kann gelten. Entfernen Sie eine.";
    ScheduleOverlap "SCHEDULE_OVERLAP" Attempt
        "The window overlaps with schedule {schedule} of the same priority for number {number}. Choose other times, or different priorities."
        "Das Zeitfenster überschneidet sich mit dem Zeitplaneintrag {schedule} gleicher Priorität für die Rufnummer {number}. Wählen Sie andere Zeiten oder verschiedene Prioritäten.";

    TrunkNameTaken "TRUNK_NAME_TAKEN" Form
        "There is already a trunk named `{name}`. Choose another name."
        "Es gibt bereits ein Amt „{name}“. Wählen Sie einen anderen Namen.";
    PrefixTaken "PREFIX_TAKEN" Form
        "The outbound prefix `{prefix}` clashes with trunk {trunk}. Choose another."
        "Die Amtskennzahl „{prefix}“ stößt sich mit dem Amt {trunk}. Wählen Sie eine andere.";
    DialledTaken "DIALLED_TAKEN" Form
        "{dialled} already reaches {number} through this trunk. Free it first."
        "{dialled} erreicht über dieses Amt bereits {number}. Geben Sie es zuerst frei.";

    ContactLimit "CONTACT_LIMIT" Attempt
        "Device {device} already has {limit} addresses, which is the limit. Let an old one expire or remove it."
        "Das Telefon {device} hat bereits {limit} Adressen, mehr sind nicht erlaubt. Lassen Sie eine alte ablaufen oder entfernen Sie sie.";
    AddressNotYours "ADDRESS_NOT_YOURS" Attempt
        "{device} spoke for {claimed}: a phone registers and calls under its own name only. Nothing was changed; is its password in other hands?"
        "{device} hat für {claimed} gesprochen: Ein Telefon registriert sich und ruft nur unter seinem eigenen Namen. Nichts wurde geändert; ist sein Kennwort in fremden Händen?";
    RegistrationOutOfOrder "REGISTRATION_OUT_OF_ORDER" Form
        "This registration is older than one already carried out. Nothing was changed; the phone will send a newer one."
        "Diese Registrierung ist älter als eine bereits ausgeführte. Nichts wurde geändert; das Telefon wird eine neuere senden.";
    CallUnknown "CALL_UNKNOWN" Form
        "No such call is open. It may have ended."
        "Ein solcher Anruf ist nicht offen. Vielleicht ist er beendet.";

    PeriodOpen "PERIOD_OPEN" Form
        "{period} is not over yet: numbers and addresses of that month are still needed. Only past months can be erased."
        "{period} ist noch nicht vorbei: Nummern und Adressen dieses Monats werden noch gebraucht. Nur vergangene Monate lassen sich löschen.";
    ErasureUnconfirmed "ERASURE_UNCONFIRMED" Form
        "An erasure is for ever: nobody, no backup and no auditor can read again what is known of this person. Still leading to this person's numbers (and nowhere after that): {by}. Nothing was changed; repeat with `confirm` if that is meant."
        "Eine Löschung ist endgültig: Was über diese Person bekannt ist, kann niemand mehr lesen, auch aus keiner Sicherung und bei keiner Prüfung. Auf Rufnummern dieser Person verweisen noch (und führen danach ins Leere): {by}. Nichts wurde geändert; wiederholen Sie den Befehl mit `confirm`, wenn das gewollt ist.";
    SealOvertaken "SEAL_OVERTAKEN" Server
        "Somebody else sealed the book in the same moment, or up to a later place. Nothing was changed; repeat if you need a seal of your own."
        "Jemand anderes hat das Buch im selben Augenblick oder bis zu einer späteren Stelle versiegelt. Nichts wurde geändert; wiederholen Sie, wenn Sie ein eigenes Siegel brauchen.";

    BookReadOnly "BOOK_READ_ONLY" Server
        "The book cannot be written at the moment ({why}). Nothing was changed; calls go on. Repeat when the disk is well."
        "Das Buch kann zur Zeit nicht geschrieben werden ({why}). Nichts wurde geändert; Gespräche laufen weiter. Wiederholen Sie, wenn der Datenträger wieder in Ordnung ist.";
    OutcomeUnknown "OUTCOME_UNKNOWN" Server
        "The disk failed while the command was written, so it is not known whether it holds. Look whether it took effect before you repeat it."
        "Der Datenträger versagte beim Schreiben, daher ist ungewiss, ob der Befehl gilt. Sehen Sie nach, ob er gewirkt hat, bevor Sie ihn wiederholen.";
    Busy "BUSY" Server
        "Too many commands are waiting. Nothing was changed; repeat in a moment."
        "Zu viele Befehle warten. Nichts wurde geändert; wiederholen Sie gleich.";
    ConfigurationMoved "CONFIGURATION_MOVED" Server
        "Others kept changing the configuration while this was prepared. Nothing was changed; repeat it."
        "Während der Vorbereitung wurde die Konfiguration laufend geändert. Nichts wurde geändert; wiederholen Sie den Befehl.";
    Cancelled "CANCELLED" Server
        "It was cancelled before anything was written. Nothing was changed."
        "Der Vorgang wurde abgebrochen, bevor etwas geschrieben wurde. Nichts wurde geändert.";
    SecretsUnavailable "SECRETS_UNAVAILABLE" Server
        "The vault for passwords and PINs cannot be used at the moment. Nothing was changed; see the server's log."
        "Der Tresor für Kennwörter und PINs ist zur Zeit nicht benutzbar. Nichts wurde geändert; sehen Sie in das Protokoll des Servers.";
    KeyDestroyed "KEY_DESTROYED" Server
        "The personal data in it cannot be kept: the key of {key} was destroyed by an erasure, and nothing is ever sealed under it again. Nothing was changed; is the clock of the server right?"
        "Die personenbezogenen Angaben darin können nicht aufbewahrt werden: Der Schlüssel von {key} wurde durch eine Löschung vernichtet, und nie wieder wird etwas damit versiegelt. Nichts wurde geändert; geht die Uhr des Servers richtig?";
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl serde::Serialize for RefusalCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Why a command was not carried out. Nothing was changed by it.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Refusal {
    /// The stable code.
    pub code: RefusalCode,
    /// The facts behind it, by name. They may hold names of people: for the answer, never for the book.
    pub facts: BTreeMap<&'static str, String>,
    /// What it concerned, for the book (X-21).
    pub about: Vec<Subject>,
}

impl Refusal {
    /// A refusal without facts yet.
    #[must_use]
    pub const fn new(code: RefusalCode) -> Self {
        Self { code, facts: BTreeMap::new(), about: Vec::new() }
    }

    /// Adds a fact.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.facts.insert(name, value.to_string());
        self
    }

    /// Adds what it concerned.
    #[must_use]
    pub fn about(mut self, subject: Subject) -> Self {
        self.about.push(subject);
        self
    }

    /// The sentence for a person, with its facts.
    #[must_use]
    pub fn sentence(&self, language: Language) -> String {
        fill(self.code.template(language), &self.facts)
    }
}

/// Puts facts into a template; a name without a fact stays as it is.
pub(crate) fn fill(template: &str, facts: &BTreeMap<&'static str, String>) -> String {
    let mut out = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        match after.split_once('}') {
            Some((name, behind)) if facts.contains_key(name) => {
                out.push_str(&facts[name]);
                rest = behind;
            }
            _ => {
                out.push('{');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.sentence(Language::English))
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_code_speaks_english_and_german() {
        let mut codes = BTreeSet::new();
        for &code in RefusalCode::ALL {
            let (english, german) =
                (code.template(Language::English), code.template(Language::German));
            assert!(english.len() > 20 && german.len() > 20, "{code} has no text");
            assert_ne!(english, german, "{code}");
            let names = |text: &'static str| -> BTreeSet<&'static str> {
                text.split('{').skip(1).filter_map(|part| part.split('}').next()).collect()
            };
            assert_eq!(names(english), names(german), "{code}: both texts use the same facts");
            assert!(codes.insert(code.as_str()), "{code} is used twice");
            assert!(
                code.as_str().bytes().all(|b| b.is_ascii_uppercase() || b == b'_'),
                "{code} is not written like a code"
            );
        }
    }

    #[test]
    fn a_sentence_carries_its_facts() {
        let refusal =
            Refusal::new(RefusalCode::NumberTaken).with("number", 100).with("owner", "ada");
        expect_test::expect![[
            r#"NUMBER_TAKEN: The number 100 already belongs to ada. Free it there first, or choose another."#
        ]]
        .assert_eq(&refusal.to_string());
        assert!(refusal.sentence(Language::German).contains("gehört bereits ada"));
    }

    #[test]
    fn facts_are_not_read_as_templates() {
        let refusal =
            Refusal::new(RefusalCode::NumberTaken).with("number", "{owner}").with("owner", "x");
        assert!(refusal.sentence(Language::English).starts_with("The number {owner} already"));
    }
}
