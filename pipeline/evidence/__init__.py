"""Evidence: live pictures sealed with a public key, opened elsewhere, purged with a proof."""

from pipeline.evidence.box import Context, OpenedBox, SealedBox, seal
from pipeline.evidence.export import Exported, export_opened, export_sealed
from pipeline.evidence.keys import (
    PASSPHRASE_VARIABLE,
    PrivateKey,
    PublicKey,
    generate,
    read_passphrase,
    read_private_key,
    read_public_key,
)
from pipeline.evidence.purging import LIMITS, PurgeReport, purge
from pipeline.evidence.records import Record, Sealed, list_records, open_records, read_database, read_files
from pipeline.evidence.sealing import (
    DEFAULT_RETENTION_DAYS,
    LONGEST_RETENTION_DAYS,
    SealedEvidence,
    consent_digest,
    sealed_evidence,
)

__all__ = [
    "DEFAULT_RETENTION_DAYS",
    "LIMITS",
    "LONGEST_RETENTION_DAYS",
    "PASSPHRASE_VARIABLE",
    "Context",
    "Exported",
    "OpenedBox",
    "PrivateKey",
    "PublicKey",
    "PurgeReport",
    "Record",
    "Sealed",
    "SealedBox",
    "SealedEvidence",
    "consent_digest",
    "export_opened",
    "export_sealed",
    "generate",
    "list_records",
    "open_records",
    "purge",
    "read_database",
    "read_files",
    "read_passphrase",
    "read_private_key",
    "read_public_key",
    "seal",
    "sealed_evidence",
]
