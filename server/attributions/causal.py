"""The causal stage of an attribution, where it had one."""

from prunescope.server.attributions.causal_documents import CausalDocument, CausalRow
from prunescope.server.attributions.opened import OpenAttribution


def causal_document(opened: OpenAttribution) -> CausalDocument | None:
    """What came of it, by variant in their order."""
    found = opened.tables.causal()
    if found is None:
        return None
    return CausalDocument(
        **{name: value for name, value in found if name in CausalDocument.model_fields and name != "variants"},
        variants=[
            CausalRow(
                name=variant.name,
                label=variant.label,
                intervention="restoration" if place else "ablation",
                accuracy=found.variants[variant.name].accuracy,
                probability=found.variants[variant.name].probability,
            )
            for place, variant in enumerate(opened.variants)
        ],
    )
