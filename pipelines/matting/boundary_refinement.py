"""Settles where the net's outline is a little off, and what it leaves open, by colours it is sure of nearby.

Knows no nets and no faces. Pixels of like colour vote, and walks along the photo decide where they are silent.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.core.geometry import Alpha, Bytes, Floats, Image, Mask
from pipelines.imaging.resize import enlarged, grown, in_lab, shrunk
from pipelines.matting.random_walker import walked

Points = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]

Shifts = npt.NDArray[np.intp]

KNOWN_ALPHA_MARGIN = 0.02  # alpha nearer than this to 0 or 1 is the net's last word

HARDLY = 0.1  # alpha: of what is paler no colour makes the subject, be it black before black

WORK_SIDE = 640

WIDE = 5  # pixels of the working copy: an edge that the net saw well is narrower

WITNESSES = 256  # pixels asked around each doubtful one, the more the nearer

FAR = 128  # pixels: a fifth of the photo; what continues behind the subject is found again within that

BESIDE, NEAR = 48, 6  # places, and pixels: who was not asked says what those of its colour beside it say

ALIKE = 6.0  # levels of Lab: two pixels this near are probably of the same thing

FEW = 0.003  # of the witnesses: fewer say nothing

MOST = 2000  # doubtful pixels that are asked about; of more, every second, third, ...

BAND, LEAST_BAND = 0.014, 3  # of the longer side, and pixels of the working copy: so far the net's outline may be off

EVEN, FIRM = 1.5, 2.0  # pixels: single ones are told wrong, and teeth are seen; and how steep an edge is then

SHIFT = 1.5  # pixels: nearer to the net's outline a change is none

ROUNDS = 2  # in the second what the first decided votes as well: a ring along itself, of which no part was sure

VOTED, SEEN = 0.05, 0.001  # how strongly a walk is drawn to the votes, and to what the net saw

SURELY = 0.01  # and to what it surely saw as subject: a glint on a rim is like nothing else of it

CLOSELY = 0.1  # and, where it looked closely, to both of its words

_LIKENESS = np.exp(np.arange(int(40 * ALIKE**2)) / (-2 * ALIKE**2)).astype(np.float32)  # by squared levels apart


@dataclass(frozen=True)
class RefinedMatte:
    """H x W each: the alpha, and how much of a pixel lies in a wide patch of the net's doubt (0 to 1)."""

    alpha: Alpha
    doubt: Alpha


def refine_boundary(image: Image, alpha: Alpha, heard: Alpha | None = None) -> RefinedMatte:
    """`alpha` with its outline laid along the photo's own edges, and its half-transparent patches decided.

    `image` is H x W x 3. Pixels of nearly the same colour, of which the net is sure, vote from up to a fifth of the
    photo away; walks that seldom cross the photo's edges decide where they disagree or are silent. `heard` (0 to 1, of
    any size) is where the net looked closely: there its word weighs as much as theirs.
    """
    size = shrunk(alpha.shape, WORK_SIDE)
    small = np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA), np.float32)
    unsure = (small > KNOWN_ALPHA_MARGIN) & (small < 1 - KNOWN_ALPHA_MARGIN)
    patches = _wide(unsure)
    open_ = unsure | _along(small, max(LEAST_BAND, round(BAND * max(size))))
    if not open_.any():
        return RefinedMatte(alpha, np.zeros(alpha.shape, np.float32))
    lab = in_lab(image, size)
    close = np.zeros_like(small)
    if heard is not None:
        close = np.asarray(cv2.resize(heard, size, interpolation=cv2.INTER_AREA), np.float32)
    sure, choice, votes = ~grown(open_, 1), small, np.zeros_like(small)
    for _ in range(ROUNDS):
        votes = _votes(lab, np.where(sure, choice, np.float32(0.5)), open_)
        votes = np.where(patches & (small < HARDLY), np.minimum(votes, 0), votes)
        choice, sure = _walked(lab, small, votes, open_, close), np.ones_like(sure)
    choice = _borne_out(lab, small, choice)
    wide, chosen = (enlarged(part, alpha.shape) for part in (open_.astype(np.float32), _firm(choice)))
    result = np.clip(alpha + wide * (chosen - alpha), 0, 1).astype(np.float32)
    return RefinedMatte(result, enlarged(patches.astype(np.float32), alpha.shape))


def _wide(unsure: Mask) -> Mask:
    """The doubtful pixels in and beside patches into which a disc of `WIDE` fits."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (WIDE, WIDE))
    inner = cv2.morphologyEx(unsure.astype(np.uint8), cv2.MORPH_OPEN, disc)
    return grown(inner > 0, 1) & unsure


def _along(alpha: Alpha, reach: int) -> Mask:
    """What lies so near the outline, to both sides."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return cv2.morphologyEx((alpha > 0.5).astype(np.uint8), cv2.MORPH_GRADIENT, disc) > 0


def _votes(lab: Bytes, alpha: Alpha, unsure: Mask) -> Floats:
    """-1 where all of the same colour nearby is background, 1 where it is subject, 0 where it is neither or unknown.

    The more so the nearer the `alpha` of those that vote is to 0 and 1; half has no vote.
    """
    sides = np.clip(np.dstack((2 * alpha - 1, 1 - 2 * alpha)), 0, 1).astype(np.float32)
    y, x = np.nonzero(unsure)
    every = -(-len(y) // MOST)
    points = (y[::every], x[::every])
    subject, ground = (_alike(lab, sides, points, _spiral(WITNESSES, FAR)) / WITNESSES).T
    given = np.zeros((*alpha.shape, 2), np.float32)
    given[points] = np.stack(((subject - ground) / (subject + ground + FEW), np.ones_like(subject)), axis=1)
    total, count = _alike(lab, given, (y, x), _spiral(BESIDE, NEAR)).T
    result = np.zeros(alpha.shape, np.float32)
    result[unsure] = total / np.maximum(count, 1e-6)
    return result


def _alike(lab: Bytes, values: Floats, points: Points, shifts: Shifts) -> Floats:
    """N x C: the sum of `values` (H x W x C) at the places shifted from N points, as far as colours are alike."""
    reach = int(np.abs(shifts).max())
    colours = cv2.copyMakeBorder(lab, reach, reach, reach, reach, cv2.BORDER_REPLICATE).astype(np.int32)
    width = colours.shape[1]
    colours = colours.reshape(-1, 3)
    padded = np.pad(values, ((reach, reach), (reach, reach), (0, 0))).reshape(len(colours), -1)
    at = (points[0] + reach) * width + points[1] + reach
    own, result = colours[at], np.zeros((len(at), values.shape[2]), np.float32)
    for shift in shifts[:, 0] * width + shifts[:, 1]:
        apart = colours.take(at + shift, axis=0)
        apart -= own
        weight = _LIKENESS.take(np.einsum("ij,ij->i", apart, apart), mode="clip")
        result += weight[:, None] * padded.take(at + shift, axis=0)
    return result


def _spiral(count: int, far: float) -> Shifts:
    """Places to ask around a pixel, up to `far` away: a sunflower whose seeds lie denser towards the middle."""
    seed = np.arange(count) + 0.5
    radius, turn = far * seed / count, seed * np.pi * (3 - np.sqrt(5))
    return np.rint(np.stack((radius * np.sin(turn), radius * np.cos(turn)), axis=1)).astype(np.intp)


def _walked(lab: Bytes, alpha: Alpha, votes: Floats, unsure: Mask, close: Alpha) -> Alpha:
    """`alpha` where it is `unsure` decided by walks, drawn to what the votes say and a little to what the net says."""
    pull = VOTED * votes**2
    seen = SEEN + SURELY * np.maximum(2 * alpha - 1, 0) ** 4 + CLOSELY * close * (2 * alpha - 1) ** 4
    prior = (pull * (votes > 0) + seen * alpha) / (pull + seen)
    ends = np.where(unsure, prior, alpha > 0.5).astype(np.float32)
    return walked(lab, ends, np.asarray(pull + seen, np.float32), unsure)


def _borne_out(lab: Bytes, before: Alpha, after: Alpha) -> Alpha:
    """`after` with every change of outline taken back that left a plainer edge of the photo than it found.

    `lab` is the photo, H x W x 3. A shadow as dark as a saucer's rim is no part of it where the rim shows.
    """
    old, new = before > 0.5, after > 0.5
    inside = old.astype(np.uint8)
    away = cv2.distanceTransform(inside, cv2.DIST_L2, 3) + cv2.distanceTransform(1 - inside, cv2.DIST_L2, 3)
    count, found = cv2.connectedComponents(((old != new) & (away > SHIFT)).astype(np.uint8))
    # Changes hang together by a pixel along the outline: each is taken by itself, and its rim with it.
    labels = cv2.dilate(np.asarray(found, np.float32), np.ones((3, 3), np.uint8)).astype(np.intp) * (old != new)
    colours, steps = lab.astype(np.float32), np.zeros((2, count), np.float64)
    seen = np.zeros((2, count), np.float64)
    for here, there in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        step = np.linalg.norm(colours[here] - colours[there], axis=-1)
        label = np.maximum(labels[here], labels[there])
        for row, side in enumerate((old, new)):
            line = (side[here] != side[there]) & (label > 0)
            steps[row] += np.bincount(label[line], step[line], count)
            seen[row] += np.bincount(label[line], minlength=count)
    plainness = steps / np.maximum(seen, 1)
    taken_back = plainness[1] < plainness[0]
    taken_back[0] = False
    return np.where(taken_back[labels], before, after).astype(np.float32)


def _firm(alpha: Alpha) -> Alpha:
    """Decided, without single pixels that were told wrong."""
    return np.clip((cv2.GaussianBlur(alpha, (0, 0), EVEN) - 0.5) * FIRM + 0.5, 0, 1).astype(np.float32)
