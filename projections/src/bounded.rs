//! Decoding what may be forged: the room that is made before anything was read depends on no length in the bytes.
//!
//! A checksum is no signature, so a snapshot may say that a table has 2^62 entries. bincode hands such a length on as serde's
//! size hint, imbl makes room for it at once, and bincode itself does for owned strings. Here a hint is never larger than
//! [`ROOM`], and strings and bytes are taken from the bytes that are there. What is decoded is the same.

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use std::fmt;

/// Entries that room is made for at once, at most; what has more grows as it is read.
const ROOM: usize = 4_096;

/// Decodes the bytes, and says how many of them were used.
pub(crate) fn decode<'de, S: DeserializeSeed<'de>>(
    seed: S,
    bytes: &'de [u8],
) -> Result<(S::Value, usize), bincode::error::DecodeError> {
    bincode::serde::seed_decode_from_slice(Bounded(seed), bytes, bincode::config::standard())
}

/// A part of serde's conversation in which hints are bounded: each hands the next one on as such a part again.
struct Bounded<T>(T);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Bounded<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Bounded(deserializer))
    }
}

macro_rules! asks {
    ($($method:ident as $inner:ident ($($name:ident: $type:ty),*);)+) => {$(
        fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            self.0.$inner($($name,)* Bounded(visitor))
        }
    )+};
}

type Names = &'static [&'static str];

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Bounded<D> {
    type Error = D::Error;

    asks! {
        deserialize_any as deserialize_any();
        deserialize_bool as deserialize_bool();
        deserialize_i8 as deserialize_i8();
        deserialize_i16 as deserialize_i16();
        deserialize_i32 as deserialize_i32();
        deserialize_i64 as deserialize_i64();
        deserialize_i128 as deserialize_i128();
        deserialize_u8 as deserialize_u8();
        deserialize_u16 as deserialize_u16();
        deserialize_u32 as deserialize_u32();
        deserialize_u64 as deserialize_u64();
        deserialize_u128 as deserialize_u128();
        deserialize_f32 as deserialize_f32();
        deserialize_f64 as deserialize_f64();
        deserialize_char as deserialize_char();
        deserialize_str as deserialize_str();
        deserialize_string as deserialize_str();
        deserialize_bytes as deserialize_bytes();
        deserialize_byte_buf as deserialize_bytes();
        deserialize_option as deserialize_option();
        deserialize_unit as deserialize_unit();
        deserialize_unit_struct as deserialize_unit_struct(name: &'static str);
        deserialize_newtype_struct as deserialize_newtype_struct(name: &'static str);
        deserialize_seq as deserialize_seq();
        deserialize_tuple as deserialize_tuple(len: usize);
        deserialize_tuple_struct as deserialize_tuple_struct(name: &'static str, len: usize);
        deserialize_map as deserialize_map();
        deserialize_struct as deserialize_struct(name: &'static str, fields: Names);
        deserialize_enum as deserialize_enum(name: &'static str, variants: Names);
        deserialize_identifier as deserialize_identifier();
        deserialize_ignored_any as deserialize_ignored_any();
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

macro_rules! shows {
    ($($method:ident($type:ty);)+) => {$(
        fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.0.$method(value)
        }
    )+};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Bounded<V> {
    type Value = V::Value;

    shows! {
        visit_bool(bool);
        visit_i8(i8);
        visit_i16(i16);
        visit_i32(i32);
        visit_i64(i64);
        visit_i128(i128);
        visit_u8(u8);
        visit_u16(u16);
        visit_u32(u32);
        visit_u64(u64);
        visit_u128(u128);
        visit_f32(f32);
        visit_f64(f64);
        visit_char(char);
        visit_str(&str);
        visit_borrowed_str(&'de str);
        visit_string(String);
        visit_bytes(&[u8]);
        visit_borrowed_bytes(&'de [u8]);
        visit_byte_buf(Vec<u8>);
    }

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(Bounded(deserializer))
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.0.visit_newtype_struct(Bounded(inner))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(Bounded(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Bounded(entries))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        self.0.visit_enum(Bounded(variant))
    }
}

fn bounded(hint: Option<usize>) -> Option<usize> {
    hint.map(|hint| hint.min(ROOM))
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Bounded<A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, A::Error> {
        self.0.next_element_seed(Bounded(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        bounded(self.0.size_hint())
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Bounded<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        self.0.next_key_seed(Bounded(seed))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.0.next_value_seed(Bounded(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        bounded(self.0.size_hint())
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for Bounded<A> {
    type Error = A::Error;
    type Variant = Bounded<A::Variant>;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Self::Variant), A::Error> {
        let (value, variant) = self.0.variant_seed(Bounded(seed))?;
        Ok((value, Bounded(variant)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Bounded<A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.0.unit_variant()
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, A::Error> {
        self.0.newtype_variant_seed(Bounded(seed))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.0.tuple_variant(len, Bounded(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: Names,
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.0.struct_variant(fields, Bounded(visitor))
    }
}
