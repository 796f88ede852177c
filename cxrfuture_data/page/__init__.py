"""What pages share: figures as SVG, tables, one look, and the rule of what may be shown to others.

It asks for matplotlib and Jinja2, which come with the extras etl, train and browse.
"""
