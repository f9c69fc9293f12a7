//! Who may join the org, who did, and what became of them: windows, invites, approvals, acts on machines, the audit log.

pub(crate) mod acts;
pub(crate) mod approve;
pub(crate) mod audit;
pub(crate) mod ek_list;
pub(crate) mod escrow;
pub(crate) mod identity;
pub(crate) mod invite;
pub(crate) mod requests;
pub(crate) mod which;
pub(crate) mod window;
