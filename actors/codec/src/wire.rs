//! How fields become bytes. A layout is a list of fields, or of tags and fields, written out once.

use bincode::de::read::Reader;
use bincode::de::{Decode, Decoder};
use bincode::enc::{Encode, Encoder};
use bincode::error::{DecodeError, EncodeError};
use smallvec::{Array, SmallVec};
use tessera_domain::Text;

/// Something with a frozen layout.
pub trait Wire: Sized {
    /// Writes it.
    ///
    /// # Errors
    /// When the writer fails.
    fn put<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError>;
    /// Reads it.
    ///
    /// # Errors
    /// When the bytes are not such a thing, or more than the limit allows.
    fn get<D: Decoder>(from: &mut D) -> Result<Self, DecodeError>;
}

/// Lends a value to bincode for writing.
pub(crate) struct Writing<'a, T>(pub(crate) &'a T);
/// A value that bincode has read.
pub(crate) struct Reading<T>(pub(crate) T);

impl<T: Wire> Encode for Writing<'_, T> {
    fn encode<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        self.0.put(to)
    }
}

impl<T: Wire, C> Decode<C> for Reading<T> {
    fn decode<D: Decoder<Context = C>>(from: &mut D) -> Result<Self, DecodeError> {
        T::get(from).map(Self)
    }
}

macro_rules! plain {
    ($($type:ty),*) => { $(
        impl Wire for $type {
            fn put<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
                self.encode(to)
            }
            fn get<D: Decoder>(from: &mut D) -> Result<Self, DecodeError> {
                Decode::decode(from)
            }
        }
    )* };
}

plain!(bool, u8, u16, u32, i32, u64, i64, u128, String);

impl Wire for Text {
    fn put<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        (**self).encode(to)
    }
    fn get<D: Decoder>(from: &mut D) -> Result<Self, DecodeError> {
        // As a string is written: its length, then its bytes. Short ones, nearly all, need no memory of their own.
        let length = usize::try_from(u64::get(from)?).map_err(|_| DecodeError::LimitExceeded)?;
        let bytes = from.reader().peek_read(length).ok_or(DecodeError::UnexpectedEnd { additional: length })?;
        let text = std::str::from_utf8(bytes).map(Self::from).map_err(|inner| DecodeError::Utf8 { inner })?;
        from.reader().consume(length);
        Ok(text)
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        match self {
            None => 0_u8.put(to),
            Some(value) => {
                1_u8.put(to)?;
                value.put(to)
            }
        }
    }
    fn get<D: Decoder>(from: &mut D) -> Result<Self, DecodeError> {
        match u8::get(from)? {
            0 => Ok(None),
            1 => T::get(from).map(Some),
            _ => Err(DecodeError::Other("not an option")),
        }
    }
}

impl<T: Wire> Wire for std::sync::Arc<T> {
    fn put<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        (**self).put(to)
    }
    fn get<D: Decoder>(from: &mut D) -> Result<Self, DecodeError> {
        T::get(from).map(Self::new)
    }
}

impl Wire for std::sync::Arc<[u8]> {
    fn put<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        (**self).encode(to)
    }
    fn get<D: Decoder>(from: &mut D) -> Result<Self, DecodeError> {
        Vec::<u8>::decode(from).map(Into::into)
    }
}

impl<T: Wire> Wire for Box<T> {
    fn put<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        (**self).put(to)
    }
    fn get<D: Decoder>(from: &mut D) -> Result<Self, DecodeError> {
        T::get(from).map(Self::new)
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn put<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        put_all(self, to)
    }
    fn get<D: Decoder>(from: &mut D) -> Result<Self, DecodeError> {
        let len = u64::get(from)?;
        // No capacity from the bytes: the limit is met while reading, not while allocating.
        let mut all = Self::new();
        for _ in 0..len {
            from.claim_bytes_read(1)?;
            all.push(T::get(from)?);
            from.unclaim_bytes_read(1);
        }
        Ok(all)
    }
}

impl<A: Array> Wire for SmallVec<A>
where
    A::Item: Wire,
{
    fn put<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        put_all(self, to)
    }
    fn get<D: Decoder>(from: &mut D) -> Result<Self, DecodeError> {
        Vec::get(from).map(Self::from_vec)
    }
}

fn put_all<T: Wire, E: Encoder>(all: &[T], to: &mut E) -> Result<(), EncodeError> {
    (all.len() as u64).put(to)?;
    all.iter().try_for_each(|item| item.put(to))
}

macro_rules! tuple {
    ($($name:ident $place:tt),*) => {
        impl<$($name: Wire),*> Wire for ($($name,)*) {
            fn put<Enc: Encoder>(&self, to: &mut Enc) -> Result<(), EncodeError> {
                $(self.$place.put(to)?;)*
                Ok(())
            }
            fn get<Dec: Decoder>(from: &mut Dec) -> Result<Self, DecodeError> {
                Ok(($($name::get(from)?,)*))
            }
        }
    };
}

tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);

/// Freezes a struct: its fields, in the order of the bytes.
macro_rules! frozen_struct {
    ($type:ty { $($field:tt),* $(,)? }) => {
        impl $crate::wire::Wire for $type {
            fn put<E: bincode::enc::Encoder>(&self, to: &mut E) -> Result<(), bincode::error::EncodeError> {
                $($crate::wire::Wire::put(&self.$field, to)?;)*
                Ok(())
            }
            fn get<D: bincode::de::Decoder>(from: &mut D) -> Result<Self, bincode::error::DecodeError> {
                Ok(Self { $($field: $crate::wire::Wire::get(from)?),* })
            }
        }
    };
}

/// Freezes an enum: a tag for each variant, then its fields. A tag is never used again.
macro_rules! frozen_enum {
    ($type:ty { $($tag:literal => $variant:ident { $($field:tt $(: $name:ident)?),* }),* $(,)? }) => {
        impl $crate::wire::Wire for $type {
            fn put<E: bincode::enc::Encoder>(&self, to: &mut E) -> Result<(), bincode::error::EncodeError> {
                match self {
                    $(Self::$variant { $($field $(: $name)?),* } => {
                        $crate::wire::Wire::put(&($tag as u8), to)?;
                        $($crate::wire::frozen_enum!(@put to, $field $(, $name)?);)*
                    })*
                }
                Ok(())
            }
            fn get<D: bincode::de::Decoder>(from: &mut D) -> Result<Self, bincode::error::DecodeError> {
                match <u8 as $crate::wire::Wire>::get(from)? {
                    $($tag => Ok(Self::$variant { $($field: $crate::wire::Wire::get(from)?),* }),)*
                    _ => Err(bincode::error::DecodeError::Other("an unknown tag")),
                }
            }
        }
    };
    (@put $to:ident, $field:tt, $name:ident) => { $crate::wire::Wire::put($name, $to)? };
    (@put $to:ident, $field:ident) => { $crate::wire::Wire::put($field, $to)? };
}

pub(crate) use {frozen_enum, frozen_struct};
