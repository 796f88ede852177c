"""The pages' colours by the names of templates/page.css, for what is drawn and not laid out."""

LIGHT = {
    "--paper": "#ffffff",
    "--panel": "#f5f6f8",
    "--ink": "#16191d",
    "--grey": "#5b6470",
    "--faint": "#dfe3e8",
    "--on-series": "#ffffff",
    "--series-0": "#0b62c4",
    "--series-1": "#b8500a",
    "--series-2": "#13795b",
    "--series-3": "#7b4bc9",
    "--series-4": "#c22b4e",
    "--series-5": "#08788f",
    "--series-6": "#6f6a00",
    "--series-7": "#6b5850",
}
DARK = {
    "--paper": "#14171b",
    "--panel": "#1d2127",
    "--ink": "#e9ecef",
    "--grey": "#a3adb8",
    "--faint": "#343a42",
    "--on-series": "#101317",
    "--series-0": "#6cb0ff",
    "--series-1": "#ffab5e",
    "--series-2": "#5fd3a6",
    "--series-3": "#b99bff",
    "--series-4": "#ff8aa3",
    "--series-5": "#5cd0e6",
    "--series-6": "#d3cb4e",
    "--series-7": "#c9b3a6",
}
