"""The map of the wall. Everything on it is drawn by mapapp/assets/map_*.js and wall_view_map.js."""

from __future__ import annotations

import dash_leaflet as dl
from dash import html
from dash.development.base_component import Component

from mapapp.text import t

MIN_ZOOM, MAX_ZOOM, FIRST_ZOOM = 8, 19, 11


def wall_map(bounds: list[list[float]]) -> Component:
    """The map edge to edge.

    Args:
        bounds: [[south, west], [north, east]] in degrees, EPSG:4326: what this person may see. The browser fits the
            map to the part of the screen that no panel covers; here it only begins in the middle of it.
    """
    schools = dl.GeoJSON(
        id="wall-schools",
        url="/tiles/schools",
        pointToLayer={"variable": "campus.layers.schools.mark"},
        onEachFeature={"variable": "campus.layers.schools.each"},
        # Leaflet's own click handling would make Dash redraw the layer at every click.
        disableDefaultEventHandlers=True,
    )
    leaflet = dl.Map(
        [
            schools,
            dl.ScaleControl(position="bottomleft", imperial=False),
            dl.AttributionControl(position="bottomright", prefix=f'<span data-t="wall.attribution">{t("wall.attribution")}</span>'),
        ],
        id="wall-map",
        center=[(bounds[0][0] + bounds[1][0]) / 2, (bounds[0][1] + bounds[1][1]) / 2],
        zoom=FIRST_ZOOM,
        minZoom=MIN_ZOOM,
        maxZoom=MAX_ZOOM,
        preferCanvas=True,
        keyboard=False,  # arrows choose in the queue wherever one has clicked last
        zoomControl=False,
        attributionControl=False,
        zoomSnap=0.5,
        worldCopyJump=False,
        style={"position": "absolute", "inset": 0},
    )
    return html.Div(
        leaflet,
        className="wall-map",
        role="application",
        **{"data-testid": "map", "data-palette": "wall", "aria-label": t("wall.map"), "data-t-label": "wall.map"},
    )
