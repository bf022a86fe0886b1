"""Works that the methods paragraph of a capsule cites: short citation, and BibTeX."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Work:
    """One work.

    Attributes
    ----------
    short : as it stands in the text.
    kind : of BibTeX entry.
    fields : in BibTeX.
    """

    short: str
    kind: str
    fields: dict[str, str]


def _arxiv(short: str, author: str, title: str, year: str, number: str) -> Work:
    fields = {"author": author, "title": title, "year": year, "eprint": number, "archivePrefix": "arXiv"}
    return Work(short, "misc", fields)


def _article(short: str, author: str, title: str, year: str, journal: str, doi: str) -> Work:
    fields = {"author": author, "title": title, "year": year, "journal": journal, "doi": doi}
    return Work(short, "article", fields)


WORKS: dict[str, Work] = {
    "mobius2024": _arxiv(
        "Möbius & Habeck 2024", "M{\\\"o}bius and Habeck",
        "Diffusion priors for {Bayesian} 3D reconstruction from incomplete measurements", "2024",
        "2412.14897",
    ),
    "randomtomography": Work(
        "Score-based random tomography of dynamic structures, under review", "unpublished",
        {"title": "Score-based random tomography of dynamic structures", "note": "Under review"},
    ),
    "wang2024": _arxiv(
        "Wang et al. 2024", "Wang and others", "How to use diffusion priors under sparse views?", "2024",
        "2412.02225",
    ),
    "zhu2023": _arxiv(
        "Zhu et al. 2023", "Zhu and others", "Denoising diffusion models for plug-and-play image restoration",
        "2023", "2305.08995",
    ),
    "wu2024": _arxiv(
        "Wu et al. 2024", "Wu and others",
        "Principled probabilistic imaging using diffusion models as plug-and-play priors", "2024",
        "2405.18782",
    ),
    "zhang2024": _arxiv(
        "Zhang et al. 2024", "Zhang and others",
        "Improving diffusion inverse problem solving with decoupled noise annealing", "2024", "2407.01521",
    ),
    "karras2022": _arxiv(
        "Karras et al. 2022", "Karras and others",
        "Elucidating the design space of diffusion-based generative models", "2022", "2206.00364",
    ),
    "chung2022": _arxiv(
        "Chung et al. 2022", "Chung and others",
        "Solving 3D inverse problems using pre-trained 2D diffusion models", "2022", "2211.10655",
    ),
    "loshchilov2017": _arxiv(
        "Loshchilov & Hutter 2017", "Loshchilov and Hutter", "Decoupled weight decay regularization", "2017",
        "1711.05101",
    ),
    "kerbl2023": _article(
        "Kerbl et al. 2023", "Kerbl and others", "{3D} {Gaussian} splatting for real-time radiance field "
        "rendering",
        "2023", "ACM Transactions on Graphics", "10.1145/3592433",
    ),
    "rosenthal2003": _article(
        "Rosenthal & Henderson 2003", "Rosenthal and Henderson",
        "Optimal determination of particle orientation, absolute hand, and contrast loss in single-particle "
        "electron cryomicroscopy",
        "2003", "Journal of Molecular Biology", "10.1016/j.jmb.2003.07.013",
    ),
    "paszke2019": _arxiv(
        "Paszke et al. 2019", "Paszke and others",
        "{PyTorch}: an imperative style, high-performance deep learning library", "2019", "1912.01703",
    ),
    "harris2020": _article(
        "Harris et al. 2020", "Harris and others", "Array programming with {NumPy}", "2020", "Nature",
        "10.1038/s41586-020-2649-2",
    ),
    "virtanen2020": _article(
        "Virtanen et al. 2020", "Virtanen and others",
        "{SciPy} 1.0: fundamental algorithms for scientific computing in {Python}", "2020", "Nature Methods",
        "10.1038/s41592-019-0686-2",
    ),
    "wojdyr2022": _article(
        "Wojdyr 2022", "Wojdyr", "{GEMMI}: a library for structural biology", "2022",
        "Journal of Open Source Software", "10.21105/joss.04200",
    ),
    "burnley2017": _article(
        "Burnley et al. 2017", "Burnley and others", "Recent developments in the {CCP-EM} software suite",
        "2017",
        "Acta Crystallographica Section D", "10.1107/S2059798317007859",
    ),
}  # fmt: skip
"""By key. First authors only where there are many; complete them from the number before submission."""


def bibliography(keys: tuple[str, ...]) -> str:
    """BibTeX of the works, in the order in which they are cited."""
    entries = []
    for key in keys:
        work = WORKS[key]
        lines = [f"  {name} = {{{value}}}," for name, value in work.fields.items()]
        entries.append("\n".join([f"@{work.kind}{{{key},", *lines, "}"]))
    return "\n\n".join(entries) + "\n"
