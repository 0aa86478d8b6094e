//! Sans-IO NAT function.

pub mod packet;
