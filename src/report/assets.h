/* The text files of assets/, compiled in. */
#ifndef TB_REPORT_ASSETS_H
#define TB_REPORT_ASSETS_H

extern const char tb_asset_style_gp[], tb_asset_canvas_gp[];
extern const char tb_asset_lines_size_gp[], tb_asset_lines_gp[];
extern const char tb_asset_bars_size_gp[], tb_asset_bars_gp[];
extern const char tb_asset_scatter_size_gp[], tb_asset_scatter_gp[];
extern const char tb_asset_path_size_gp[], tb_asset_path_gp[];
extern const char tb_asset_damping_size_gp[], tb_asset_damping_gp[];
extern const char tb_asset_size_size_gp[], tb_asset_size_gp[];
extern const char tb_asset_clouds_size_gp[], tb_asset_clouds_gp[];
extern const char tb_asset_context_size_gp[], tb_asset_context_gp[];
extern const char tb_asset_page_css[], tb_asset_page_js[];

#endif
