"""One look for the whole window: colours from the palette, one stylesheet, icons in the text colour."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files

from PySide6.QtCore import QByteArray, QRectF, Qt
from PySide6.QtGui import QColor, QGuiApplication, QIcon, QPainter, QPalette, QPixmap
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QApplication


@dataclass(frozen=True)
class Theme:
    """Colours as #rrggbb. ``series`` are for curves and samples: distinct also for colour-blind eyes."""

    dark: bool
    window: str
    surface: str
    border: str
    text: str
    muted: str
    accent: str
    accent_text: str
    warning: str
    error: str
    good: str
    canvas: str
    series: tuple[str, ...] = (
        "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7b61c4", "#8c8c4a",
    )  # fmt: skip


LIGHT = Theme(
    False, "#f4f6f8", "#ffffff", "#d3d9e0", "#1d2733", "#5b6876", "#1467a8", "#ffffff",
    "#8a5200", "#b3261e", "#1a7340", "#ffffff",
)  # fmt: skip
DARK = Theme(
    True, "#1e2329", "#272d35", "#414b57", "#e6ebf0", "#a3b0bd", "#4aa3df", "#0d1a24",
    "#f0b35a", "#ff8a80", "#6fcf97", "#14181d",
    ("#56b4e9", "#f08a4b", "#3fc79a", "#e39cc6", "#f2c14e", "#8fb8ff", "#b39ddb", "#c5c58a"),
)  # fmt: skip

_SHEET = """
QWidget {{ color: {text}; }}
QMainWindow, QDialog, QWidget#page {{ background: {window}; }}
QFrame#card {{ background: {surface}; border: 1px solid {border}; border-radius: 6px; }}
QFrame#card[state="problem"] {{ border-color: {error}; }}
QFrame#card[state="incomplete"] {{ border-color: {warning}; }}
QLabel#heading {{ font-size: 12pt; font-weight: 600; }}
QLabel#title {{ font-weight: 600; }}
QLabel#muted {{ color: {muted}; }}
QLabel#warning {{ color: {warning}; }}
QLabel#banner {{ color: {accent}; font-weight: bold; }}
QLabel#error {{ color: {error}; }}
QLabel#good {{ color: {good}; }}
QLabel#welcome {{ font-size: 15pt; font-weight: 600; }}
QPushButton {{ background: {surface}; border: 1px solid {border}; border-radius: 4px; padding: 5px 12px; }}
QPushButton:hover {{ border-color: {accent}; }}
QPushButton:disabled {{ color: {muted}; background: {window}; }}
QPushButton:checked {{ border-color: {accent}; color: {accent}; }}
QPushButton#mode {{ padding: 4px 2px; }}
QPushButton#mode:focus {{ border: 2px solid {accent}; padding: 3px 1px; }}
QPushButton#mode:checked {{ background: {accent}; color: {accent_text}; border-color: {accent}; }}
QPushButton#mode:checked:focus {{ border-color: {text}; }}
QPushButton#primary {{ background: {accent}; color: {accent_text}; border-color: {accent};
    font-weight: 600; }}
QPushButton#primary:disabled {{ background: {border}; color: {muted}; border-color: {border}; }}
QCheckBox, QRadioButton {{ border: 1px solid transparent; border-radius: 3px; padding: 0 2px; }}
QCheckBox:focus, QRadioButton:focus {{ border-color: {accent}; }}
QToolButton {{ border: 1px solid transparent; border-radius: 4px; padding: 3px; }}
QToolButton:hover, QToolButton:focus {{ border-color: {accent}; }}
QPushButton:focus {{ border: 2px solid {accent}; padding: 4px 11px; }}
QLineEdit, QComboBox, QSpinBox, QDoubleSpinBox {{
    background: {surface}; border: 1px solid {border}; border-radius: 4px; padding: 3px 6px;
    min-height: 18px;
    selection-background-color: {accent}; selection-color: {accent_text}; }}
QAbstractSpinBox QLineEdit {{ border: none; background: transparent; padding: 0 4px; min-height: 0; }}
QComboBox::drop-down {{ border: none; width: 22px; }}
QComboBox::down-arrow, QAbstractSpinBox::down-arrow {{
    image: url({icons}/down.svg); width: 10px; height: 10px; }}
QAbstractSpinBox::up-arrow {{ image: url({icons}/up.svg); width: 10px; height: 10px; }}
QAbstractSpinBox::up-button, QAbstractSpinBox::down-button {{
    subcontrol-origin: border; border: none; background: transparent; width: 20px; }}
QAbstractSpinBox::up-button {{ subcontrol-position: top right; margin: 2px 2px 0 0; }}
QAbstractSpinBox::down-button {{ subcontrol-position: bottom right; margin: 0 2px 2px 0; }}
QComboBox:disabled, QLineEdit:disabled, QAbstractSpinBox:disabled {{ color: {muted}; background: {window}; }}
QScrollBar:vertical {{ background: transparent; width: 10px; margin: 0; }}
QScrollBar::handle:vertical {{ background: {border}; border-radius: 4px; min-height: 30px; margin: 1px; }}
QScrollBar::handle:vertical:hover {{ background: {muted}; }}
QScrollBar:horizontal {{ background: transparent; height: 10px; margin: 0; }}
QScrollBar::handle:horizontal {{ background: {border}; border-radius: 4px; min-width: 30px; margin: 1px; }}
QScrollBar::add-line, QScrollBar::sub-line {{ width: 0; height: 0; }}
QScrollBar::add-page, QScrollBar::sub-page {{ background: transparent; }}
QMenuBar {{ background: {window}; }}
QMenuBar::item:selected, QMenu::item:selected {{ background: {accent}; color: {accent_text}; }}
QMenu {{ background: {surface}; border: 1px solid {border}; padding: 4px 0; }}
QMenu::item {{ padding: 5px 24px; }}
QMenu::item:disabled {{ color: {muted}; }}
QMenu::separator {{ height: 1px; background: {border}; margin: 4px 0; }}
QComboBox QAbstractItemView {{ background: {surface}; selection-background-color: {accent};
    selection-color: {accent_text}; border: 1px solid {border}; }}
QLineEdit:focus, QComboBox:focus, QSpinBox:focus, QDoubleSpinBox:focus {{ border-color: {accent}; }}
QLineEdit[invalid="true"], QSpinBox[invalid="true"], QDoubleSpinBox[invalid="true"] {{
    border-color: {error}; }}
QScrollArea, QScrollArea > QWidget > QWidget#page {{ background: {window}; border: none; }}
QTabWidget::pane {{ border: 1px solid {border}; border-radius: 4px; background: {surface}; top: -1px; }}
QTabBar::tab {{ padding: 6px 12px; color: {muted}; border-bottom: 2px solid transparent; }}
QTabBar::tab:selected {{ color: {text}; border-bottom: 2px solid {accent}; }}
QTableWidget, QListWidget, QTreeWidget {{ background: {surface}; border: none; gridline-color: {border}; }}
QHeaderView::section {{ background: {surface}; color: {muted}; border: none; padding: 4px 6px;
    border-bottom: 1px solid {border}; }}
QProgressBar {{ background: {border}; border: none; border-radius: 4px; height: 8px; text-align: center; }}
QProgressBar::chunk {{ background: {accent}; border-radius: 4px; }}
QSplitter::handle {{ background: {window}; }}
QFrame#palette, QFrame#toast, QFrame#callout {{ background: {surface}; border: 1px solid {muted};
    border-radius: 6px; }}
QFrame#palette QLineEdit {{ padding: 6px 8px; }}
QToolTip {{ background: {surface}; color: {text}; border: 1px solid {border}; padding: 4px; }}
QStatusBar {{ color: {muted}; }}
"""


class _Scheme:
    """What the user has chosen, and what the system looked like before we changed the palette."""

    name = "system"
    system_dark: bool | None = None


def current_theme() -> Theme:
    """The theme that the user has chosen, or the system's."""
    if _Scheme.name != "system":
        return DARK if _Scheme.name == "dark" else LIGHT
    scheme = QGuiApplication.styleHints().colorScheme()
    if scheme == Qt.ColorScheme.Unknown:
        if _Scheme.system_dark is None:
            window = QGuiApplication.palette().color(QPalette.ColorRole.Window)
            _Scheme.system_dark = window.lightness() < 128
        return DARK if _Scheme.system_dark else LIGHT
    return DARK if scheme == Qt.ColorScheme.Dark else LIGHT


def choose_scheme(name: str) -> None:
    """Follow the system, or force light or dark. Takes effect with the next :func:`apply`."""
    current_theme()  # remembers the system's palette the first time
    _Scheme.name = name if name in ("light", "dark") else "system"
    schemes = {"light": Qt.ColorScheme.Light, "dark": Qt.ColorScheme.Dark}
    QGuiApplication.styleHints().setColorScheme(schemes.get(name, Qt.ColorScheme.Unknown))


def apply(application: QApplication) -> Theme:
    """Style the application for the present theme, and say which that is."""
    theme = current_theme()
    roles = QPalette.ColorRole
    palette = QPalette(QColor(theme.surface), QColor(theme.window))
    for role, colour in {
        roles.Window: theme.window, roles.Base: theme.surface, roles.AlternateBase: theme.window,
        roles.Text: theme.text, roles.WindowText: theme.text, roles.ButtonText: theme.text,
        roles.Highlight: theme.accent, roles.HighlightedText: theme.accent_text, roles.Mid: theme.border,
        roles.Link: theme.accent, roles.LinkVisited: theme.accent,
        roles.PlaceholderText: theme.muted, roles.ToolTipBase: theme.surface, roles.ToolTipText: theme.text,
    }.items():  # fmt: skip
        palette.setColor(role, QColor(colour))
    for role in (roles.Text, roles.WindowText, roles.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(theme.muted))
    icons = str(files("resources") / "icons").replace("\\", "/")
    sheet = _SHEET.format(icons=icons, **asdict(theme))
    # Every widget there is would be styled anew: 70 ms of a whole window.
    if application.palette() != palette:
        application.setPalette(palette)
    if application.styleSheet() != sheet:
        application.setStyleSheet(sheet)
    return theme


def icon(name: str, colour: str | None = None) -> QIcon:
    """An icon from ``resources/icons``, drawn in the text colour of the current theme."""
    return _icon(name, colour or current_theme().text)


def forget_icons() -> None:
    """Let go of what was drawn: pictures may not outlive the application."""
    _icon.cache_clear()


@cache
def _icon(name: str, colour: str) -> QIcon:
    text = (files("resources") / "icons" / f"{name}.svg").read_text(encoding="utf-8")
    renderer = QSvgRenderer(QByteArray(text.replace("currentColor", colour).encode()))
    result = QIcon()
    for size in (16, 20, 32, 48, 64, 128):
        pixmap = QPixmap(size, size)
        pixmap.fill(QColor(0, 0, 0, 0))
        painter = QPainter(pixmap)
        renderer.render(painter, QRectF(0, 0, size, size))
        painter.end()
        result.addPixmap(pixmap)
    return result
