//! An event's payload as JSON for people: personal values clear where they are known, `[erased]` where not.
//!
//! The book's own form of a personal value is its key and its sealed bytes; what is shown here is never read back.

use serde_json::Value;
use switchbook_core::event::Event;
use switchbook_core::personal::{HasPersonal, Personal};

/// The payload of an event, readable.
#[must_use]
pub fn readable(event: &Event) -> Value {
    let mut event = event.clone();
    let mut clear: Vec<String> = Vec::new();
    // Each personal value is numbered in the place of its sealed bytes, so that it is found again in the JSON.
    event.each_personal(&mut |value| {
        let number = clear.len().to_string().into_bytes();
        clear.push(value.to_string());
        let mut numbered = Personal::new(value.key(), "");
        numbered.seal_with(|_, _| number);
        *value = numbered;
    });
    let mut json = serde_json::to_value(&event).unwrap_or(Value::Null);
    show(&mut json, &clear);
    json
}

fn show(json: &mut Value, clear: &[String]) {
    if let Some(text) = personal(json).and_then(|number| clear.get(number)) {
        *json = Value::String(text.clone());
        return;
    }
    match json {
        Value::Array(items) => items.iter_mut().for_each(|item| show(item, clear)),
        Value::Object(fields) => fields.values_mut().for_each(|field| show(field, clear)),
        _ => {}
    }
}

/// `[{"Person": …}, "hexadecimal"]` is how a personal value is written.
fn personal(json: &Value) -> Option<usize> {
    let [Value::Object(key), Value::String(hex)] = json.as_array()?.as_slice() else {
        return None;
    };
    let name = key.keys().next()?;
    if key.len() != 1 || !matches!(name.as_str(), "Person" | "Period") {
        return None;
    }
    let bytes: Option<Vec<u8>> = hex
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    String::from_utf8(bytes?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchbook_core::id::UserId;
    use switchbook_core::personal::KeyId;
    use switchbook_core::user::UserAdded;

    #[test]
    fn personal_values_are_clear_or_erased() {
        let key = KeyId::Person(UserId(uuid::Uuid::nil()));
        let mut gone = Personal::new(key, "Ada Lovelace");
        gone.seal_with(|_, _| vec![1]);
        gone.open_with(|_, _| None);
        let event = UserAdded {
            user: UserId(uuid::Uuid::nil()),
            username: Personal::new(key, "ada"),
            display_name: gone,
            email: None,
            mobile: Some(Personal::new(key, "+49 170")),
            language: None,
            time_zone: None,
        };
        let json = readable(&event.into());
        assert_eq!(json["username"], "ada");
        assert_eq!(json["display_name"], "[erased]");
        assert_eq!(json["mobile"], "+49 170");
        assert_eq!(json["email"], Value::Null);
    }
}
