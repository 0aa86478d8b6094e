//! Sans-IO NAT function.
