//! Runs a generic test once per allocator.

/// Makes of each `fn name<A: Make>() { .. }` one test over the reference allocator and one over
/// the engine.
macro_rules! both {
    ($($(#[$meta:meta])* fn $name:ident<A>() $body:block)+) => {
        $($(#[$meta])* fn $name<A: crate::tests::Make>() $body)+

        mod reference {
            $(#[test]
            fn $name() {
                super::$name::<crate::ReferenceAllocator>();
            })+
        }

        mod engine {
            $(#[test]
            fn $name() {
                super::$name::<crate::NatDefaultAllocator>();
            })+
        }
    };
}

pub(crate) use both;
