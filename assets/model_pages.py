"""Write docs/models, a page for each checkpoint from the rows of the code: `python -m assets.model_pages`."""

from __future__ import annotations

from pathlib import Path

from pipelines.core.models import ModelSpec
from pipelines.core.params import Verb
from pipelines.core.tools import Tool
from pipelines.matting.edge_band import TILE_PX
from pipelines.models.families.hub_nets import (
    BIREFNET_FAMILY,
    FILL_NETS,
    GENERAL,
    LAMA,
    LITE,
    MIGAN,
    PORTRAIT,
    SAM2,
    VITMATTE,
)
from pipelines.models.nets.matting_choice import HUB_NETS, run_bytes
from pipelines.models.pinned_revisions import FILE_SHA256
from pipelines.models.profiles import PROFILES, download_bytes
from pipelines.models.registry import get_spec
from pipelines.tools import TOOLS

FOLDER = Path(__file__).parent.parent / "docs" / "models"
HUB_URL = "https://huggingface.co"
GENERATED_NOTE = "<!-- Written by `python -m assets.model_pages` from the rows in pipelines/models; do not edit. -->"

TITLES = {
    "klein": "FLUX.2 klein 4B",
    "klein-4bit": "FLUX.2 klein 4B in 4 bits",
    "z-image-turbo-2.1": "Z-Image Turbo",
    "sdxl": "Stable Diffusion XL",
    "sdxl-lightning": "SDXL Lightning",
    "sdxl-turbo": "SDXL Turbo",
    "qwen-image-edit": "Qwen-Image-Edit 2511",
    "firered-image-edit": "FireRed-Image-Edit 1.1",
    "longcat-image-edit-turbo": "LongCat-Image-Edit-Turbo",
    "joyai-image-edit": "JoyAI-Image-Edit",
    "qwen-image-2.1": "Qwen-Image 2.1",
    "krea-2-turbo": "Krea 2 Turbo",
    "wan-2.2-ti2v-5b": "Wan 2.2 TI2V 5B",
    "fashn-vton-1.5": "FASHN VTON 1.5",
    "sd15-lcm": "Stable Diffusion 1.5 with LCM",
}
"""Titles of the checkpoints, each by the first row that a profile names."""
NOTES = {
    "klein-4bit": "The package that reads its weights is GPL-3.0 and is not installed with the studio.",
    "z-image-turbo-2.1": "Its transformer lies at the hub in float32, twice as large as in memory. A ControlNet "
    "follows maps: Union 2.1 from 30 GB, the first Union on smaller cards.",
    "qwen-image-edit": "Drawn in four steps with its Lightning LoRA. It reads several pictures.",
    "firered-image-edit": "The architecture of Qwen-Image-Edit, trained for portraits; by its authors' own tables "
    "ahead of Qwen-Image-Edit 2511 (ImgEdit 4.56 against 4.51, measured on version 1.0). It takes forty steps with "
    "guidance, so it is slow. Its commit is not known: a machine stays with the first that it fetches.",
    "longcat-image-edit-turbo": "It reads one picture, no LoRA, and the first 512 tokens of the words.",
    "joyai-image-edit": "It turns objects: Product asks for an invented side in the words that its authors give for "
    "that. It reads one picture and no LoRA, and takes forty steps with guidance, so it is slow. Its commit is not "
    "known: a machine stays with the first that it fetches.",
    "qwen-image-2.1": "It draws from words at up to four megapixels and edits at one, with several pictures, in forty "
    "steps. Its autoencoder knows transparency, which is composited on white here.",
    "krea-2-turbo": "The repository is gated: accept its terms there and set `HF_TOKEN`. Its licence asks whoever "
    "serves it for content filters; the studio's cannot be switched off.",
    "wan-2.2-ti2v-5b": "It draws films of 3 to 5 seconds, 24 pictures a second, that begin with a photo; every picture "
    "is drawn, the first one too. Its transformer and its autoencoder lie at the hub in float32; the autoencoder stays "
    "so. Its authors give nine minutes for five seconds at 1280 x 704 on a card for consumers. While it draws, four "
    "moments of the film are shown; Stop ends it within a step, or between two of the thirty parts that are decoded.",
    "fashn-vton-1.5": "It dresses the person of a photo in a garment from another photo: a top, trousers or a skirt, "
    "or one piece. It sees both photos and the person's pose, no words. It draws 576 x 864 pixels, whatever the "
    "photo's size, without an autoencoder; where it left the picture as it was, the photo's own pixels are laid back "
    "at full size, and face and hair wherever they fit. Its authors give 20 steps as fast, 30 as balanced, 50 as "
    "good.\n\n"
    "Offered is the mode that its authors call `segmentation_free`, with a garment by itself: lying flat, on a hanger, "
    "or cut out here. Their other modes need a parser of people whose weights have a licence of their own; it is not "
    "used. The pose comes from DWPose ([yzd-v/DWPose](https://huggingface.co/yzd-v/DWPose), Apache-2.0, 0.1 GB), which "
    "runs on the processor; the studio's cut-out tells it where the person is, so that its detector of people is not "
    "needed.\n\n"
    "The network is written anew with the names of the 366 tensors that its authors' class loads from the file. On the "
    "same random weights it was compared once with that class (commit 7c0f10a, float32, on a processor): at full depth "
    "and width, on 144 x 216 pixels, the largest difference was 0.000025 at values up to 25; three whole drawings of "
    "576 x 864 in small width, from photo to picture, differed by 1 of 255 in 3 of 100,000 values. A drawing takes "
    "0.4 GB beside the weights, computed from its tensors. At full size, with random weights, one step was drawn on a "
    "processor ([figures](../figures.md)). **Nobody has loaded the trained weights here or seen a "
    "picture of theirs**: how well it dresses, and how what is laid back looks beside what it draws, is not known.",
}
_GENERAL_SETS = "DIS5K, DUTS, HRSOD, UHRSD, HRS10K, P3M-10k, P3M-500, humans"
TRAINING_SETS = {
    LITE.id: _GENERAL_SETS,
    GENERAL.id: _GENERAL_SETS,
    PORTRAIT.id: "P3M-10k, humans",
    VITMATTE.id: "Composition-1k",
    SAM2.id: "as its repository says",
}
"""What the authors say that each net for cut-outs was trained on."""
NOT_OFFERED = (
    "## Not offered",
    "",
    "- **FLUX 3 Image Klein**: diffusers 0.42 has it as modular blocks only, which are called in another way than "
    "pipelines and report no steps; its authors ask for a second model, of 9 billion weights, that rewrites the words; "
    "the repository is gated, and outputs are commercial below US$ 5 million of revenue and with conditions only.",
    "- **DreamLite**: diffusers has its pipelines, but the licence of its weights was found on no page that could be "
    "read.",
    "- **FLUX.2 klein in fp8**, as its authors publish it: one file in the layout of another program.",
    "",
)
FILL_SETS = {LAMA.id: "Places Challenge", MIGAN.id: "Places2"}
"""What the authors say that each net for erasing was trained on."""
VERB_WORDS: dict[Verb, str] = {
    "backdrop": "scenes behind a subject",
    "text": "pictures from words",
    "edit": "changes to a photo by words",
    "image": "a photo drawn anew",
    "inpaint": "parts of a photo drawn anew",
    "control": "pictures along edges, lines, depth or a pose",
    "video": "films that begin with a photo",
    "tryon": "a person in a garment of another photo",
}
USE_WORDS = {
    "commercial": "Everybody, for anything that the licence does not forbid; pictures may be sold.",
    "capped": "Commercially below {cap} only. Whoever runs the studio confirms that once, in *Settings* or with "
    "`python app.py licence confirm {id}`; before that it does not draw.",
    "not-commercial": "Not commercially. It is hidden until `--commercial off`.",
}


def main() -> None:
    """Write every page and the list of them."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in build_pages().items():
        (FOLDER / name).write_text(text, "utf-8")


def build_pages() -> dict[str, str]:
    """Build the text of every page by its file name."""
    rows = {spec_id: get_spec(spec_id) for spec_id in TITLES}
    lines = []
    for each in rows.values():
        lightest = _variants(each)[-1]
        least = _gigabytes(lightest.min_vram)
        least += f" with {_gigabytes(lightest.host_bytes)} of main memory" if lightest.host_bytes else ""
        lines.append(f"| [{TITLES[each.id]}]({each.id}.md) | {_draws(each)} | {each.licence} | {least} |")
    head = [
        GENERATED_NOTE,
        "# Models",
        "",
        "What the embedded models do needs none of these. How one is chosen, and what was run: [gpu.md](../gpu.md).",
        "",
        "| model | draws | licence | GPU memory, at least |",
        "|---|---|---|---|",
    ]
    nets = "Nets that cut subjects out better than those that ship with the studio: [cut-outs](cutouts.md)."
    fills = "Nets that draw where Retouch erased something large: [erasing](erasing.md)."
    index = "\n".join([*head, *lines, "", nets, "", fills, "", *NOT_OFFERED])
    nets_pages = {"cutouts.md": _cutouts_page(), "erasing.md": _erasing_page()}
    return {"README.md": index, **nets_pages, **{f"{row.id}.md": _page(row) for row in rows.values()}}


def _cutouts_page() -> str:
    head = [
        GENERATED_NOTE,
        "# Nets for cut-outs",
        "",
        "*Settings* downloads one at a click, and it is used from then on; with a GPU the smallest of each kind "
        "come by themselves at the first start. `--matting small` takes none of them. The receipt names net, "
        "commit and licence. None of them has been run here with its trained weights: what is tested is their "
        "loading, with random weights in the real classes and files, and what their answers change.",
        "",
        "- **BiRefNet** (Zheng et al., 2024), in the ONNX files of its authors, sees whole subjects. What is kept "
        "takes the best one that is here, beside the two nets that ship with the studio: where it differs from "
        "them by region, that counts in `cutout_uncertainty`. Tools for people prefer the portrait net; no other "
        "tool takes it. A draft does not wait.",
        "- **ViTMatte** (Yao et al., 2023) draws the edges of what is kept anew, after the studio's own "
        "refinement: the half-transparent pixels, a band along the outline, and doubt beside it. It sees tiles of "
        f"{TILE_PX} px with what is settled in them, so that its memory is the same for any photo; outside the "
        "band nothing changes. A draft does not wait; *Stop* ends it between two tiles.",
        "- **SAM 2** (Ravi et al., 2024) finds what a keep or drop point lies on, or what a box holds, on the "
        "page and over REST. The studio's edges follow. A photo is embedded once, at its first click; each "
        "further click costs the decoder alone (0.09 s of processor time, against 0.31 s for the crop that the "
        "small net looks at). Where it sees nothing, the studio's own way decides, as it does without SAM 2.",
        "",
        "| net | licence | download | memory in a run, at most | trained on |",
        "|---|---|---|---|---|",
    ]
    rows = []
    for row in HUB_NETS:
        link = f"[{row.repo}]({HUB_URL}/{row.repo}) at `{row.revision[:8]}`"
        cells = (link, row.licence, _gigabytes(row.download_bytes), _gigabytes(run_bytes(row)), TRAINING_SETS[row.id])
        rows.append(f"| {' | '.join(cells)} |")
    digests = [f"- {row.id}: `{FILE_SHA256[row.repo, dict(row.options)['files']]}`" for row in BIREFNET_FAMILY.specs]
    tail = [
        "",
        "They run on the processor, also where a GPU draws, one at a time of each kind on all cores. *Settings* "
        "says about how many seconds that takes on this machine: it times a net that is here and multiplies by a "
        "ratio. For ViTMatte that is a photo of a megapixel (7 tiles), for SAM 2 the first click on a photo. "
        "Memory and ratio were measured with random weights of the same sizes; those of ViTMatte and SAM 2 make "
        "files of as many bytes as the real ones. A net that needs more memory than the machine has is neither "
        "offered nor taken.",
        "",
        "How sure `cutout_uncertainty` is was measured with the two nets that ship with the studio, not with a third.",
        "",
        "The authors of BiRefNet give the weights under the MIT licence. Some of the sets that they were trained "
        "on have terms of use of their own (DIS5K's lie in the repository xuebinqin/DIS). ViTMatte's repository "
        "says Apache-2.0, its code MIT.",
        "",
        "Not offered: BiRefNet HR-matting (MIT), because its authors' files need their own code, no known "
        "publisher has it in ONNX, and a run at 2048 px takes more than 20 GB; withoutBG's open weights (ONNX), "
        "because they hold parts under Meta's DINOv3 licence, which is neither MIT nor Apache-2.0 and binds "
        "whoever passes them on.",
        "",
        "The commits fix the files of ViTMatte and SAM 2. SHA-256 of each BiRefNet file, compared when it comes and "
        "whenever it is loaded:",
        "",
        *digests,
        "",
    ]
    return "\n".join([*head, *rows, *tail])


def _erasing_page() -> str:
    head = [
        GENERATED_NOTE,
        "# Nets that draw where something was erased",
        "",
        "LaMa (Suvorov et al., 2022) and MI-GAN (Sargsyan et al., 2023), in published ONNX files. *Settings* downloads "
        "one at a click. Retouch then takes the first of this table that is here, by itself, where what was erased is "
        "larger than a badge and stood before a busy ground; else what lies beside it is continued, as without a net. "
        "A draft does not wait. With words and a model that draws by words, that one draws.",
        "",
        "| net | licence | download | memory in a run, at most | trained on |",
        "|---|---|---|---|---|",
    ]
    rows, digests = [], []
    for row in FILL_NETS.specs:
        link = f"[{row.repo}]({HUB_URL}/{row.repo}) at `{row.revision[:8]}`"
        cells = (link, row.licence, _gigabytes(row.download_bytes), _gigabytes(run_bytes(row)), FILL_SETS[row.id])
        rows.append(f"| {' | '.join(cells)} |")
        digests.append(f"- {row.id}: `{FILE_SHA256[row.repo, dict(row.options)['files']]}`")
    tail = [
        "",
        "A square around each hole, at least twice as wide as the hole, goes through the net at 512 x 512; holes that "
        "lie apart go one by one. What comes back is fitted to the tones at the rim, gets the grain from beside it "
        "where it was enlarged, and stands inside the mask alone: outside, every byte stays. The receipt names net, "
        "commit and licence, and the file is marked `compositeWithTrainedAlgorithmicMedia`.",
        "",
        "They run on the processor (ONNX Runtime), also where a GPU draws, one hole at a time on all cores. Memory and "
        "seconds were measured on graphs rebuilt with random weights; the code was run on small graphs with the same "
        "inputs and outputs, and no trained one has been run yet: how well they draw here is not measured. Expand does "
        "not take them.",
        "",
        "The authors give code and weights under these licences. The sets that they were trained on have terms of use "
        "of their own.",
        "",
        "SHA-256 of each file, compared when it comes and whenever it is loaded:",
        "",
        *digests,
        "",
    ]
    return "\n".join([*head, *rows, *tail])


def _page(row: ModelSpec) -> str:
    steps = int(dict(row.defaults)["num_inference_steps"])
    use = USE_WORDS[row.licence_state].format(cap=row.revenue_cap, id=row.id)
    memory = []
    for each in _variants(row):
        host = _gigabytes(each.host_bytes) if each.host_bytes else "none"
        memory.append(f"| {_variant_words(each)} | {_gigabytes(each.bytes)} | {host} | {_gigabytes(each.min_vram)} |")
    side = int(dict(row.defaults)["side"])
    profiles = [profile for profile in PROFILES if row.id in profile.specs.values()]
    starts = " or ".join(f"`python app.py --profile {profile.id}`" for profile in profiles)
    note = [NOTES[row.id], ""] if row.id in NOTES else []
    parts = [
        GENERATED_NOTE,
        f"# {TITLES[row.id]}",
        "",
        f"**Draws** {_draws(row)}, in {steps} steps, at about {side} px squared; other sizes are scaled.",
        "",
        *note,
        f"**Licence**: {row.licence}. {use} Each picture's receipt names model, commit and licence.",
        "",
        f"**Download**: {_gigabytes(download_bytes(row))} from [{row.repo}]({HUB_URL}/{row.repo})"
        + (f" at commit `{row.revision[:8]}`" if row.revision else "")
        + ".",
        *(f"{_net_words(each)}" for each in _control_nets(row)),
        "",
        "| text encoder | weights on the GPU | weights in main memory | GPU memory, at least |",
        "|---|---|---|---|",
        *memory,
        "",
        "Computed from the sizes of the files. **Seconds a picture: not measured**: no card has run these weights yet; "
        "`python -m tests.gpu --out FILE` writes them for yours.",
        "",
        "**Adds to the tools**",
        "",
        *_tool_lines(row),
        "",
        f"**To have it**: {starts}, or *Settings*, where it is downloaded beforehand{_package_words(row)}.",
        "",
    ]
    return "\n".join(parts)


def _draws(row: ModelSpec) -> str:
    return ", ".join(VERB_WORDS[verb] for verb in row.verbs)


def _variants(row: ModelSpec) -> list[ModelSpec]:
    """List a checkpoint as it is loaded on ever smaller cards."""
    rows = [row]
    while lighter := dict(rows[-1].options).get("lighter"):
        rows.append(get_spec(lighter))
    return rows


def _variant_words(row: ModelSpec) -> str:
    words = {
        "none": "it has none",
        "int8": "in 8 bits (`pip install torchao`)",
        "streamed": "in main memory, copied layer by layer",
    }
    net = f", with {row.control_net}" if row.control_net else ""
    if "transformer" in dict(row.options):
        return (
            "in main memory like the transformer, whose blocks come one by one: slow, only where a profile is asked for"
        )
    return words.get(dict(row.options).get("text_encoder", ""), "on the GPU") + net


def _control_nets(row: ModelSpec) -> list[ModelSpec]:
    return [get_spec(spec_id) for spec_id in dict.fromkeys(each.control_net for each in _variants(row)) if spec_id]


def _net_words(net: ModelSpec) -> str:
    source = f"[{net.repo}]({HUB_URL}/{net.repo}), {net.licence}, {_gigabytes(net.bytes)}"
    return f"Its ControlNet {net.id} ({source}) comes with the first request that follows a map."


def _tool_lines(row: ModelSpec) -> list[str]:
    """List, by tool, the fields that need one of the model's verbs."""
    lines = ["- Scenes in words, in every tool that sets one behind a subject"] if "backdrop" in row.verbs else []
    for tool in TOOLS:
        titles = [info.title or name for name, info in tool.params.model_fields.items() if _opens(row, tool, name)]
        lines += [f"- {tool.title}: {', '.join(titles)}"] if titles else []
    return lines


def _opens(row: ModelSpec, tool: Tool, field: str) -> bool:
    extra = tool.params.schema_extra(field)
    needed = set(extra.get("x-needs", ()))
    if "tryon" in needed and row.reads_one_picture:  # it would not see the garment
        return False
    return bool(needed & set(row.verbs)) if extra.get("x-needs-any") else bool(needed) and needed <= set(row.verbs)


def _package_words(row: ModelSpec) -> str:
    package = dict(row.options).get("package", "")
    return f" (with `pip install {package}`)" if package else ""


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"


if __name__ == "__main__":
    main()
