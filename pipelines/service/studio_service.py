"""The application service: a form's values become a `Job`; every caller (page, REST, batch, tests) goes through it."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipelines.core.errors import BadInput
from pipelines.core.job import Job
from pipelines.core.models import Profile
from pipelines.core.params import MAX_SEED, Params
from pipelines.core.stream import wait_for_result
from pipelines.core.tools import FILL_ROLE, Tool
from pipelines.ingest.decoder_pool import DecoderPool
from pipelines.jobs.queue import JobQueue
from pipelines.models import nets
from pipelines.models.bundled_weights import are_files_present
from pipelines.models.diffusion.captions import has_style, write_caption
from pipelines.models.hub import DownloadManager
from pipelines.models.lora import LoraLibrary
from pipelines.models.nets import control_annotators
from pipelines.models.nets.matting_choice import choose_hub_nets, find_fill_net
from pipelines.models.registry import list_all_specs
from pipelines.provenance.signing_key import SigningKeyStore
from pipelines.security.abuse_reports import AbuseReports
from pipelines.security.audit_log import AuditLog
from pipelines.service.form_checks import FormChecks, validate_form
from pipelines.service.form_filling import fill_form
from pipelines.service.licence_caps import LicenceConfirmations
from pipelines.service.saved_items import SavedItemService
from pipelines.service.teams import TeamService
from pipelines.service.uploads import UploadService
from pipelines.settings import Settings
from pipelines.storage.file_index import FileIndex
from pipelines.tools import HELPERS, TOOLS, find_tool
from pipelines.tools.shared import portrait_check


class StudioService:
    """Makes jobs, and holds what its callers use: the queue, files, uploads, saved items, downloads.

    `on_order(owner, subject)` is told of each job or batch that an owner orders where no webhook address was given.
    """

    def __init__(
        self,
        settings: Settings,
        jobs: JobQueue,
        files: FileIndex,
        profile: Profile,
        decoder_pool: DecoderPool,
        tools: Sequence[Tool] = TOOLS,
        *,
        on_order: Callable[[str, str], None] = lambda owner, subject: None,
    ) -> None:
        audit_log = AuditLog(settings.data)
        self.settings = settings
        self.jobs = jobs
        self.files = files
        self.profile = profile
        self.tools = tuple(tools)
        self.on_order = on_order
        self._decoder_pool = decoder_pool
        self.downloads = DownloadManager()
        self.loras = LoraLibrary(settings.data / "loras")
        self.licences = LicenceConfirmations(settings.owner_data)
        self._capped_models = tuple(
            row for row in list_all_specs() if row.revenue_cap and row.id in profile.specs.values()
        )
        self.form_checks = FormChecks(files, profile, audit_log)
        self.uploads = UploadService(jobs, files, decoder_pool, SigningKeyStore(settings.data))
        self.saved_items = SavedItemService(jobs, files, self.uploads, self.form_checks, self.tools)
        self.teams = TeamService(self.saved_items, self.uploads, files, jobs.table, audit_log, self._check_portrait)
        self.abuse_reports = AbuseReports(audit_log)

    def with_files(self, files: FileIndex) -> StudioService:
        """Make the same service on another file index, as a dry run needs."""
        return StudioService(
            self.settings, self.jobs, files, self.profile, self._decoder_pool, self.tools, on_order=self.on_order
        )

    def find_tool(self, tool_id: str) -> Tool:
        """Find a tool by its id. Raises `NotFound`."""
        return find_tool(tool_id, self.tools)

    def create_job(
        self, tool_id: str, values: Mapping[str, Any], owner: str, *, draft: bool = False, batch: bool = False
    ) -> Job:
        """Make a job from a form's values; nothing else that could change is read later.

        Raises `InvalidParams` with the field's name, `BadInput` for a picture that is not the owner's, `PolicyRefusal`
        for a missing consent and for refused words, `ModelUnavailable` for a field that this profile cannot serve and
        where the owner has not confirmed to be below the cap of a licence.
        """
        return self._create_job(self.find_tool(tool_id), values, owner, draft=draft, batch=batch)

    def write_model_words(self, tool_id: str, values: Mapping[str, Any], owner: str) -> str:
        """Write the words that the profile's model would get for the scene of a form, complete or not yet.

        Empty where no model is given a caption. Raises `NotFound`, and `BadInput` for an item that is not saved.
        """
        tool, spec_id = self.find_tool(tool_id), self.profile.specs.get("backdrop", "")
        family = next((row.family for row in list_all_specs() if row.id == spec_id), "")
        if tool.caption is None or not has_style(family):
            return ""
        form = fill_form(tool.params, values, owner, self.saved_items.find_item, tool=tool.id)
        return write_caption(tool.caption(tool.params.model_construct(None, **form.values)), family)

    def create_helper_job(self, tool_id: str, values: Mapping[str, Any], owner: str, *, for_tool: str = "") -> Job:
        """Make a job of one of `HELPERS` for a page's own use: in no list, without files. Raises as `create_job`.

        It takes the models that the tool `for_tool` takes, if one is named.
        """
        job = self._create_job(find_tool(tool_id, HELPERS), values, owner, draft=True, batch=False)
        specs = self._choose_specs(self.find_tool(for_tool)) if for_tool else job.specs
        return job.model_copy(update={"helper": True, "specs": specs})

    def _check_portrait(self, file_id: str, owner: str) -> None:
        """Check that a photo of the owner's shows one person's face. Raises `BadInput`, and what a job can raise."""
        values = {"photo": file_id, "consent": True}
        wait_for_result(self.jobs.submit_and_watch(self.create_helper_job(portrait_check.TOOL.id, values, owner)))

    def _create_job(self, tool: Tool, values: Mapping[str, Any], owner: str, *, draft: bool, batch: bool) -> Job:
        self.licences.require_confirmed(*self._capped_models)
        form = fill_form(tool.params, values, owner, self.saved_items.find_item, tool=tool.id)
        params = validate_form(tool.params, form.values)
        self.form_checks.check_pictures(params, owner)
        self.form_checks.check_verbs(params)
        self.form_checks.check_prompts(tool, params, owner)
        consent = self.form_checks.check_consent(tool, params)
        seed, photo = getattr(params, "seed", None), getattr(params, "photo", None)
        return Job(
            id=f"job-{uuid.uuid4().hex}",
            tool=tool.id,
            params=params.model_dump(mode="json"),
            seed=secrets.randbelow(MAX_SEED + 1) if seed is None else seed,
            profile=self.profile.id,
            specs=self._choose_specs(tool),
            owner=owner,
            created=time.time(),
            consent=consent,
            notices=form.notices,
            draft=draft,
            batch=batch,
            watermark=self.settings.watermark,
            adapters=self._resolve_adapters(params),
            label=self.files.find_label(photo, owner) if isinstance(photo, str) and photo else "",
        )

    def _choose_specs(self, tool: Tool) -> dict[str, str]:
        """Choose the model for each verb and role: the profile's, and the best nets that are on this machine."""
        ids = {"matte": nets.best_matting_id()}
        if self.settings.matting == "both" and are_files_present(nets.ISNET):
            ids["matte-detail"] = nets.ISNET.id
        if self.settings.matting == "both":
            ids |= choose_hub_nets(for_portrait=tool.person)
        if tool.fills_holes and (fill_net := find_fill_net()):
            ids[FILL_ROLE] = fill_net.id
        if "control" in self.profile.specs:
            ids["map-pose"] = control_annotators.best_pose_id()
        return {**self.profile.specs, **ids}

    def _resolve_adapters(self, params: Params) -> dict[str, float]:
        """The source and weight of the LoRA that the form names."""
        name, weight = getattr(params, "adapter", ""), getattr(params, "adapter_weight", 1.0)
        if not name:
            return {}
        try:
            return {self.loras.resolve_source(name): weight}
        except BadInput as error:
            raise BadInput(error.message, param="adapter") from error
