"""Models, objectives and loops. Reads datasets through cxrfuture_data; never imports etl."""
