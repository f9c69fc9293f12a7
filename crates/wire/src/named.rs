//! Numbers on the wire that have names: a newtype's constants, their names in reports, and how a number without a name is shown.

/// Gives a newtype over a number its constants, `name` and `Display`: the name itself, `MessageType or "message type {}"`, or the
/// number with the name behind it, `OptionCode with "option {}"`.
macro_rules! named {
    ($type:ident or $unnamed:literal; $($rows:tt)*) => {
        $crate::named::names!($type; $($rows)*);

        impl ::core::fmt::Display for $type {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, $unnamed, self.0),
                }
            }
        }
    };
    ($type:ident with $number:literal; $($rows:tt)*) => {
        $crate::named::names!($type; $($rows)*);

        impl ::core::fmt::Display for $type {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                write!(f, $number, self.0)?;
                match self.name() {
                    Some(name) => write!(f, " ({name})"),
                    None => Ok(()),
                }
            }
        }
    };
}

/// The constants and `name` alone.
macro_rules! names {
    ($type:ident; $($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        impl $type {
            $($(#[$doc])* pub const $name: Self = Self($code);)*

            /// The name in its specification or, where that has none, in this project's reports.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($code => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

pub(crate) use {named, names};

#[cfg(test)]
mod tests {
    use crate::dhcp4::{MessageType, OptionCode};

    #[test]
    fn a_number_shows_its_name_and_without_one_itself() {
        assert_eq!(MessageType::NAK.to_string(), "NAK");
        assert_eq!(MessageType(77).to_string(), "message type 77");
        assert_eq!(OptionCode::BOOT_FILE.to_string(), "option 67 (boot file)");
        assert_eq!(OptionCode(224).to_string(), "option 224");
    }
}
