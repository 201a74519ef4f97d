/* Colours of the map, one name per meaning; architecture.md section 8 gives the values of the wall. */
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});

  const wall = {
    sea: "#0a1120", land: "#14213a", abroad: "#0c1424", coast: "rgba(70,128,220,.055)",
    district: "rgba(132,166,220,.60)", street: "rgba(122,158,214,.20)",
    water: "#0d1f3c", park: "rgba(40,112,100,.13)", built: "rgba(150,184,240,.03)",
    road: {
      motorway: { core: "#4a6ca6", glow: "rgba(86,142,232,.11)" },
      trunk: { core: "#35517f", glow: "rgba(86,142,232,.06)" },
      primary: { core: "#2d4571", glow: null },
      secondary: { core: "#263b63", glow: null },
      residential: { core: "#223457", glow: null },
    },
    building: "#1b2b48", buildingEdge: "#2a3d61", buildingTall: "#22355a",
    campus: "rgba(56,189,248,.075)", campusEdge: "rgba(56,189,248,.75)",
    schoolBuilding: "rgba(56,189,248,.16)", schoolBuildingEdge: "rgba(120,205,250,.5)", gate: "#2dd4a7",
    label: "#8aa0bf", labelDistrict: "#9fb6d8", labelStrong: "#a9bedd", labelFaint: "#6f86a8", halo: "rgba(12,19,34,.8)",
    text: "#e6edf7", muted: "#8aa0bf", panel: "rgba(15,24,42,.95)", line: "#24344f",
    critical: "#ff4d4f", high: "#ff8a3d", attention: "#f5c542", candidate: "#a78bfa", ok: "#2dd4a7", info: "#38bdf8",
    cell: ["rgba(45,212,167,.13)", "rgba(56,189,248,.24)", "rgba(245,197,66,.30)", "rgba(255,138,61,.40)", "rgba(255,77,79,.46)"],
    cellEdge: "rgba(150,190,235,.28)", hatch: "rgba(167,139,250,.55)",
    fanOk: "rgba(45,212,167,.11)", fanOkEdge: "rgba(45,212,167,.55)", fanFaultEdge: "rgba(245,197,66,.6)", fanUnknownEdge: "rgba(138,160,191,.5)",
    viewOk: "rgba(45,212,167,.26)", viewFault: "rgba(245,197,66,.12)",
    unitFree: "#7c5cf0", unitBusy: "#c9520c", unitOff: "#3a4b6b", unitName: "#d9ccff",
    schoolEdge: "#0a1526",
  };

  const desk = {
    sea: "#dbe7f5", land: "#f8f9fc", abroad: "#eceff5", coast: "rgba(37,99,235,.04)",
    district: "rgba(71,92,133,.55)", street: "rgba(71,92,133,.22)",
    water: "#cfe0f4", park: "rgba(102,178,128,.22)", built: "rgba(30,50,90,.03)",
    road: {
      motorway: { core: "#e0b060", glow: "rgba(224,176,96,.25)" },
      trunk: { core: "#e6c98c", glow: "rgba(224,176,96,.16)" },
      primary: { core: "#d5dbe7", glow: null },
      secondary: { core: "#dfe4ee", glow: null },
      residential: { core: "#e6eaf2", glow: null },
    },
    building: "#e6eaf2", buildingEdge: "#d3dae7", buildingTall: "#dce2ed",
    campus: "rgba(37,99,235,.07)", campusEdge: "rgba(37,99,235,.7)",
    schoolBuilding: "rgba(37,99,235,.14)", schoolBuildingEdge: "rgba(37,99,235,.4)", gate: "#0f7a5c",
    label: "#475569", labelDistrict: "#3b4a63", labelStrong: "#344054", labelFaint: "#64748b", halo: "rgba(255,255,255,.9)",
    text: "#101828", muted: "#52617a", panel: "rgba(255,255,255,.97)", line: "#e3e8f2",
    critical: "#d92d20", high: "#c4320a", attention: "#b54708", candidate: "#6d28d9", ok: "#0f7a5c", info: "#1d6fb8",
    cell: ["rgba(15,122,92,.10)", "rgba(29,111,184,.20)", "rgba(214,158,20,.28)", "rgba(224,95,20,.34)", "rgba(217,45,32,.38)"],
    cellEdge: "rgba(50,80,130,.28)", hatch: "rgba(109,40,217,.5)",
    fanOk: "rgba(15,122,92,.10)", fanOkEdge: "rgba(15,122,92,.5)", fanFaultEdge: "rgba(181,71,8,.6)", fanUnknownEdge: "rgba(82,97,122,.5)",
    viewOk: "rgba(15,122,92,.24)", viewFault: "rgba(181,71,8,.12)",
    unitFree: "#6d28d9", unitBusy: "#c4320a", unitOff: "#7b8aa5", unitName: "#4c2fb0",
    schoolEdge: "#ffffff",
  };

  campus.palettes = { wall, desk };

  const known = new WeakMap();

  /** The palette of a map: `data-palette` of its container or of anything around it, "wall" if nobody says. Looked up once. */
  campus.paletteOf = function (map) {
    if (!map) return wall;
    if (!known.has(map)) {
      const said = map.getContainer().closest("[data-palette]");
      known.set(map, campus.palettes[(said && said.dataset.palette) || "wall"] || wall);
    }
    return known.get(map);
  };
})();
