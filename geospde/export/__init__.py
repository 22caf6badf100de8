"""What leaves as a file: rasters, NetCDF, GeoPackages, QGIS projects, contours."""
